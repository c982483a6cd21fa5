// One picture on its way: its row on the page, and the asking for it.
import { copyOf, make, say } from "./dom.js";
import { Trouble } from "./service.js";
import { told, why } from "./words.js";

const THUMB = 112;
const OWN_TRIES = 4;
const SECOND = 1000;
/** Pixels from which a picture is a large one, which may take seconds; bytes of what the browser can't read. */
const LARGE = 2e6;

export class Row {
  /**
   * file: what was given. ask(row, settings, signal): promises `{blob, headers}`. heard: told of what happens to the row.
   *
   * Of a setting `strength` only 1 is asked for, as less of a change is mixed where it is shown (`result`). The file of
   * it is asked for when it is to be taken (`mixed`).
   */
  constructor(file, settings, { ask, heard, name }) {
    Object.assign(this, { file, settings, ask, heard, name: name ?? file.name ?? "pasted picture" });
    this.result = this.mixed = null;
    this.mixing = this.putOff = false;
    this.tries = 0;
    this.element = copyOf("row").firstElementChild;
    this.part = (name) => this.element.querySelector(`.${name}`);
    this.bar = this.element.querySelector("progress");
    this.part("name").textContent = this.name;
    this.part("remove").setAttribute("aria-label", `Remove ${this.name}`);
    this.part("get").setAttribute("aria-label", `Download ${this.name}`);
    this.bar.setAttribute("aria-label", `How far ${this.name} is`);
    this.part("show").addEventListener("click", () => heard.chosen(this));
    this.part("again").addEventListener("click", () => this.retry());
    this.part("cancel").addEventListener("click", () => this.cancel());
    this.part("get").addEventListener("click", () => heard.taken(this));
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

  /** Looks how large it is, which takes no decoding. */
  async measure() {
    const image = make("img", { src: URL.createObjectURL(this.file) });
    await new Promise((seen) => (image.onload = image.onerror = seen));
    URL.revokeObjectURL(image.src);
    this.pixels = image.naturalWidth * image.naturalHeight;
  }

  get large() {
    return (this.pixels || this.file.size) >= LARGE;
  }

  get busy() {
    return this.state === "working";
  }

  get strength() {
    return this.settings.strength ?? 1;
  }

  /** The file as it is shown, where it is there. */
  get ready() {
    if (this.strength === 1) return this.result;
    return this.mixed?.strength === this.strength ? this.mixed : null;
  }

  /** Whether trying again may help. */
  get retriable() {
    return this.state === "stopped" || (this.state === "bad" && this.passes);
  }

  /** What can be done about how it is: `[words, does]`, or nothing. */
  get offer() {
    if (["working", "waiting"].includes(this.state)) return ["Cancel", () => this.cancel()];
    return this.retriable ? ["Try again", () => this.retry()] : null;
  }

  /** How far it is, of 1; below 0 where nobody knows, null where it is not under way. */
  get share() {
    return this.busy ? this.bar.position : null;
  }

  /** Asks for it, and tells how that goes and what came of it. */
  async work() {
    this.controller = new AbortController();
    const { signal } = this.controller;
    const { mixing, strength } = this;
    if (!mixing) this.result = null;
    this.tell("working", "Sending");
    const began = performance.now();
    try {
      await readable(this.file);
      const answer = await this.ask(this, { ...this.settings, strength: mixing ? strength : 1 }, signal);
      signal.throwIfAborted(); // told to stop at the last moment
      const came = { ...answer, strength, seconds: (performance.now() - began) / SECOND };
      Object.assign(this, mixing ? { mixed: came } : { result: came }, { mixing: false, tries: 0 });
      this.done();
      if (mixing) this.heard.taken(this);
    } catch (error) {
      if (!signal.aborted) this.failed(error);
      else if (signal.reason === "cancel") this.stopped();
    }
  }

  /** Told of tiles while it works. */
  progress(done, tiles) {
    this.began ??= { at: performance.now(), done };
    Object.assign(this.bar, { max: tiles, value: done });
    this.part("words").textContent = `${done} of ${tiles} tiles${this.left(done, tiles)}`;
    this.heard.moved(this);
  }

  left(done, tiles) {
    const gone = done - this.began.done;
    const seconds = ((performance.now() - this.began.at) / SECOND / gone) * (tiles - done);
    if (!gone || seconds < 1) return "";
    return seconds < 90 ? `, about ${Math.ceil(seconds)} s left` : `, about ${Math.round(seconds / 60)} min left`;
  }

  done() {
    this.tell("done", this.heard.summary(this));
    say(`${this.name} is done`);
  }

  /** Who is told when there will be room waits for it, which is nothing wrong yet. */
  failed(error) {
    if (error.after && this.tries++ < OWN_TRIES) return this.wait(error.after, error);
    const words = told(error);
    this.passes = error.passes ?? true;
    this.tell("bad", words);
    say(`${this.name}: ${words}`);
  }

  /** Asks again by itself, when the service says that there will be room. */
  wait(seconds, trouble) {
    this.putOff = seconds > 0;
    this.tell("waiting", this.putOff ? `${why(trouble)} Asking again in ${Math.ceil(seconds)} s.` : "Waiting for its turn");
    if (this.putOff) this.later(SECOND, () => this.wait(seconds - 1, trouble));
    else this.heard.asked();
  }

  /** Does something after so many milliseconds, unless the row is stopped or something else is put off meanwhile. */
  later(milliseconds, does) {
    clearTimeout(this.timer);
    this.timer = setTimeout(does, milliseconds);
  }

  /** Asks anew for all of it, by the settings as they are now. */
  again() {
    this.mixing = false;
    this.mixed = null;
    this.retry();
  }

  /** Asks for the file as it is shown. */
  mix() {
    this.mixing = true;
    this.retry();
  }

  retry() {
    this.tries = 0;
    this.stop("again");
    this.wait(0);
  }

  /** Told that another strength is to be shown: a file of the one before is not worth to be waited for. */
  remixed() {
    if (this.mixing) this.stop("remixed");
    else if (this.state !== "done") return;
    this.mixing = false;
    this.tell("done", this.heard.summary(this));
  }

  cancel() {
    const { busy } = this;
    this.stop("cancel");
    if (!busy) this.stopped();
  }

  stop(reason) {
    clearTimeout(this.timer);
    this.putOff = false;
    this.controller?.abort(reason);
  }

  /** It was told to stop; what had been made before is still there. */
  stopped() {
    if (this.mixing) {
      this.mixing = false;
      this.tell("done", this.heard.summary(this));
    } else this.tell("stopped", "Cancelled");
  }

  remove() {
    this.stop("removed");
    this.element.remove();
  }

  tell(state, words) {
    const focused = this.element.contains(document.activeElement);
    this.state = state;
    this.began = undefined;
    this.element.classList.toggle("bad", state === "bad");
    this.part("words").textContent = words;
    this.bar.hidden = state !== "working";
    this.bar.removeAttribute("value");
    this.part("cancel").hidden = !["working", "waiting"].includes(state);
    this.part("again").hidden = !this.retriable;
    this.part("get").hidden = state !== "done";
    if (focused && document.activeElement.hidden) this.element.querySelector(".do > :not([hidden])").focus();
    this.heard.moved(this);
  }
}

/** Throws Trouble for what is there only by name: a folder, or a file that has gone. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Trouble("unreadable");
  }
}
