// One picture on its way: its row on the page, and the asking for it.
import { copyOf, make, say } from "./dom.js";
import { Trouble } from "./service.js";
import { told } from "./words.js";

const THUMB = 112;
const OWN_TRIES = 4;

export class Row {
  /** file: what was given. ask(row, signal): promises `{blob, headers}`. heard: told of what happens to the row. */
  constructor(file, settings, { ask, heard, name }) {
    Object.assign(this, { file, settings, ask, heard, name: name ?? file.name ?? "pasted picture" });
    this.state = "waiting";
    this.result = null;
    this.tries = 0;
    this.element = copyOf("row").firstElementChild;
    this.part = (name) => this.element.querySelector(`.${name}`);
    this.part("name").textContent = this.name;
    this.part("remove").setAttribute("aria-label", `Remove ${this.name}`);
    this.part("show").addEventListener("click", () => heard.chosen(this));
    this.part("again").addEventListener("click", () => this.again());
    this.part("cancel").addEventListener("click", () => this.cancel());
    this.part("remove").addEventListener("click", () => heard.removed(this));
    this.tell("waiting", "Waiting for its turn");
  }

  /** A small picture of it, where the browser can read it. */
  async picture() {
    try {
      const small = await createImageBitmap(this.file, { resizeWidth: THUMB, resizeQuality: "medium" });
      const canvas = make("canvas", { width: small.width, height: small.height });
      canvas.getContext("2d").drawImage(small, 0, 0);
      small.close();
      this.part("thumb").replaceChildren(canvas);
    } catch {
      // What the browser can't read may still be a picture to the service.
    }
  }

  get busy() {
    return this.state === "working";
  }

  /** What can be done about how it is: `[words, does]`, or nothing. */
  get offer() {
    if (["working", "waiting"].includes(this.state)) return ["Cancel", () => this.cancel()];
    if (["bad", "stopped"].includes(this.state)) return ["Try again", () => this.again()];
    return null;
  }

  /** How far it is, of 1; below 0 where nobody knows, null where it is not under way. */
  get share() {
    return this.busy ? this.part("state").querySelector("progress").position : null;
  }

  /** Asks for it, and tells how that goes and what came of it. */
  async work() {
    this.controller = new AbortController();
    const { signal } = this.controller;
    this.result = null;
    this.tell("working", "Sending");
    const began = performance.now();
    try {
      await readable(this.file);
      const { blob, headers } = await this.ask(this, signal);
      this.result = { blob, headers, seconds: (performance.now() - began) / 1000 };
      this.tries = 0;
      this.done();
    } catch (error) {
      if (!signal.aborted) this.failed(error);
      else if (signal.reason !== "again") this.tell("stopped", "Cancelled");
    }
  }

  /** Told of tiles while it works. */
  progress(done, tiles) {
    this.began ??= { at: performance.now(), done };
    const bar = this.part("state").querySelector("progress");
    Object.assign(bar, { max: tiles, value: done });
    this.part("words").textContent = `${done} of ${tiles} tiles${this.left(done, tiles)}`;
    this.heard.moved(this);
  }

  left(done, tiles) {
    const gone = done - this.began.done;
    const seconds = ((performance.now() - this.began.at) / 1000 / gone) * (tiles - done);
    if (!gone || seconds < 1) return "";
    return seconds < 90 ? `, about ${Math.ceil(seconds)} s left` : `, about ${Math.round(seconds / 60)} min left`;
  }

  done() {
    URL.revokeObjectURL(this.address);
    this.address = URL.createObjectURL(this.result.blob);
    this.tell("done", this.heard.summary(this));
    say(`${this.name} is done`);
  }

  failed(error) {
    if (!(error instanceof Trouble)) console.error(error);
    const words = error instanceof Trouble ? told(error) : "That did not work. Try again.";
    this.tell("bad", words);
    say(`${this.name}: ${words}`);
    if (error.after && this.tries++ < OWN_TRIES) this.wait(error.after, words);
  }

  /** Tries again by itself, when the service says that there will be room. */
  wait(seconds, words) {
    if (this.state !== "bad") return;
    if (seconds <= 0) return this.again(false);
    this.part("words").textContent = `${words} Trying again in ${Math.ceil(seconds)} s.`;
    this.later(1000, () => this.wait(seconds - 1, words));
  }

  /** Does something after so many milliseconds, unless the row is stopped or something else is put off meanwhile. */
  later(milliseconds, does) {
    clearTimeout(this.timer);
    this.timer = setTimeout(does, milliseconds);
  }

  again(told = true) {
    if (told) this.tries = 0;
    this.stop("again");
    this.tell("waiting", "Waiting for its turn");
    this.heard.asked(this);
  }

  cancel() {
    this.stop("cancel");
    if (this.state === "waiting") this.tell("stopped", "Cancelled");
  }

  stop(reason) {
    clearTimeout(this.timer);
    this.controller?.abort(reason);
  }

  remove() {
    this.stop("removed");
    URL.revokeObjectURL(this.address);
    this.element.remove();
  }

  tell(state, words) {
    const focused = this.element.contains(document.activeElement);
    this.state = state;
    this.began = undefined;
    this.element.classList.toggle("bad", state === "bad");
    this.part("words").textContent = words;
    const bar = this.part("state").querySelector("progress");
    bar.hidden = state !== "working";
    bar.removeAttribute("value");
    bar.setAttribute("aria-label", `How far ${this.name} is`);
    this.part("cancel").hidden = !["working", "waiting"].includes(state);
    this.part("again").hidden = !["bad", "stopped"].includes(state);
    const get = this.part("get");
    get.hidden = state !== "done";
    if (state === "done") Object.assign(get, { href: this.address, download: this.heard.fileName(this) });
    if (focused && document.activeElement.hidden) this.element.querySelector(".do > :not([hidden])").focus();
    this.heard.moved(this);
  }
}

/** Throws Trouble for what is there only by name: a folder, or a file that has gone. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Trouble("unreadable", { detail: "this can't be read: it is a folder, or has been moved since" });
  }
}
