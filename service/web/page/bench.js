// Where pictures are brought, worked on and looked at: by drop, by paste, by choice, or from the samples.
import { copyOf, make, notice } from "./dom.js";
import { Drawable } from "./pictures.js";
import { Row } from "./row.js";
import { Viewer } from "./viewer.js";
import { bytes, percent, seconds } from "./words.js";

const AT_ONCE = 2;
const AGAIN_AFTER = 250;
const NOT_YET = "–";
/** Milliseconds that a file stays for the browser to take. */
const KEPT = 60_000;
const SUFFIXES = { jpeg: "jpg", "svg+xml": "svg" };

export class Bench {
  /**
   * section: of the page. task: what is done here:
   * ask(row, settings, signal) promises `{blob, headers}`; settings() of the next picture; shown(row) and answered(row)
   * of one that is looked at; facts(row) of it, `[name, value]` of always the same names; verb, for names of files;
   * samples `{title, note, folder, pictures: [[file, name, by]]}`; grey.
   */
  constructor(section, task) {
    Object.assign(this, { section, task, rows: [], chosen: null });
    section.append(copyOf("bench"));
    this.host = section.querySelector(".bench");
    this.part = (name) => this.host.querySelector(`.${name}`);
    this.viewer = new Viewer(this.part("stage"));
    this.choice = this.host.querySelector("input[type=file]");
    this.listen();
    this.layOutSamples(task.samples);
  }

  listen() {
    this.choice.addEventListener("change", () => {
      this.add([...this.choice.files]);
      this.choice.value = "";
    });
    this.part("download").addEventListener("click", () => this.take(this.chosen));
    const over = (event, is) => {
      if (this.section.hidden || ![...(event.dataTransfer?.types ?? [])].includes("Files")) return false;
      event.preventDefault();
      this.host.classList.toggle("over", is);
      return true;
    };
    document.addEventListener("dragover", (event) => over(event, true));
    document.addEventListener("dragleave", (event) => event.relatedTarget ?? over(event, false));
    document.addEventListener("drop", (event) => over(event, false) && this.add([...event.dataTransfer.files]));
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!this.section.hidden && files.length) this.add(files);
    });
  }

  layOutSamples({ title, note, folder, pictures }) {
    this.part("samples").querySelector("h2").textContent = title;
    this.part("note").textContent = note;
    const items = pictures.map(([file, name, by]) => {
      const address = `/static/samples/${folder}${file}`;
      const image = make("img", { src: address, alt: "", loading: "lazy" });
      const label = { label: `${name}, a photograph by ${by}` };
      const button = make("button", { type: "button", title: `${name}, by ${by}`, aria: label }, image, make("span", {}, name));
      button.addEventListener("click", () => this.addSample(address, file));
      return make("li", {}, button);
    });
    this.part("samples").querySelector("ul").append(...items);
  }

  async addSample(address, file) {
    try {
      const blob = await (await fetch(address)).blob();
      this.add([new File([blob], file, { type: blob.type })]);
    } catch {
      notice(this.part("note"), "The service does not answer. See whether it runs, then try again.", true);
    }
  }

  async add(files) {
    if (!files.length) return;
    this.filled(true);
    const heard = {
      chosen: (row) => this.choose(row),
      removed: (row) => this.remove(row),
      asked: () => this.pump(),
      moved: (row) => row === this.chosen && this.follow(),
      taken: (row) => this.take(row),
      summary,
    };
    const rows = files.map((file) => new Row(file, this.task.settings(), { ask: this.task.ask, heard }));
    this.rows.push(...rows);
    this.part("rows").append(...rows.map((row) => row.element));
    this.choose(rows[0]);
    await Promise.all(rows.map((row) => row.measure()));
    this.pump();
    this.picture(rows);
  }

  /** Small pictures, one by one: each takes the memory of the large one for a moment. */
  async picture(rows) {
    for (const row of rows) await row.picture();
  }

  /** Starts what there is room for. */
  pump() {
    for (const row of this.rows.filter(({ state, putOff }) => state === "waiting" && !putOff))
      if (this.hasRoomFor(row)) row.work().finally(() => this.pump());
  }

  /** A few at a time, and one large one: of two the service would have to refuse one. */
  hasRoomFor(row) {
    const largeOnes = this.rows.filter(({ large, busy, putOff }) => large && (busy || putOff));
    return this.rows.filter(({ busy }) => busy).length < AT_ONCE && !(row.large && largeOnes.length);
  }

  /** Shows a row's picture, before and, where it is there, after. */
  async choose(row) {
    if (this.chosen !== row) {
      this.release();
      this.chosen = row;
      for (const one of this.rows) {
        one.element.classList.toggle("shown", one === row);
        one.part("show").setAttribute("aria-pressed", one === row);
      }
      this.looked = new AbortController();
      this.viewer.show(null, null);
      this.task.shown(row);
    }
    await this.look(row, this.looked.signal);
  }

  /** Decodes what there is to be seen of a row, one after the other, unless another one is chosen meanwhile. */
  look(row, signal) {
    this.follow();
    this.looking = Promise.resolve(this.looking).then(() => signal.aborted || this.lookNow(row, signal));
    return this.looking;
  }

  async lookNow(row, signal) {
    const show = () => {
      const { grey } = this.task;
      this.viewer.show(row.before, row.after ?? row.stale ?? null, { grey, strength: row.strength });
    };
    try {
      row.before ??= await Drawable.of(row.file, signal);
      if (signal.aborted) return this.release(row);
      show();
      const { result } = row;
      const after = result && !row.after ? await Drawable.of(result.blob, signal) : null;
      if (signal.aborted || result !== row.result) after?.close();
      if (signal.aborted) return this.release(row);
      if (after && result === row.result) Object.assign(row, { after, changed: row.before.differenceTo(after) });
      show();
      if (row.after) row.stale = void row.stale?.close();
      this.unseen = false;
    } catch {
      this.unseen = !signal.aborted;
    }
    if (!signal.aborted) this.follow();
  }

  /** Says of the chosen row what there is to say: how far it is, or what came of it. */
  follow() {
    const row = this.chosen;
    const words = row.part("words").textContent;
    const unseen = this.unseen && row.state === "done" ? "It can't be shown here, but it can be downloaded." : "";
    this.viewer.cover(row.state === "done" ? unseen : words, row.offer, row.share);
    if (row.result || !row.stale) this.tellFacts(this.task.facts(row));
    const download = this.part("download");
    download.setAttribute("aria-disabled", row.state !== "done");
    download.textContent = row.strength < 1 ? `Download at ${percent(row.strength)}` : "Download";
    if (row.state === "done" && !row.after && row.seen !== row.result) {
      row.seen = row.result;
      this.task.answered?.(row);
      this.look(row, this.looked.signal);
    }
  }

  /** What isn't known yet keeps its room. */
  tellFacts(facts) {
    const told = facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value || NOT_YET)]);
    this.part("facts").replaceChildren(...told);
  }

  /** Other settings for a row: it is done again, but for another strength, which is mixed here. */
  set(row, settings) {
    const changed = Object.keys(settings).filter((name) => settings[name] !== row.settings[name]);
    row.settings = settings;
    if (changed.some((name) => name !== "strength")) this.redo(row);
    else if (changed.length) row.remixed();
    if (row === this.chosen) this.follow();
  }

  /** Does a row again, when nobody has changed its settings for a moment; what there was is shown till then. */
  redo(row) {
    row.later(AGAIN_AFTER, () => {
      if (row.after) [row.stale, row.after] = [row.after, null];
      row.again();
    });
  }

  /** Has a row's file downloaded as it is shown, when it is there. */
  take(row) {
    if (row.state !== "done") return;
    if (!row.ready) return row.mix();
    const href = URL.createObjectURL(row.ready.blob);
    make("a", { href, download: this.fileName(row) }).click();
    setTimeout(() => URL.revokeObjectURL(href), KEPT);
  }

  /** Frees the memory of what is not looked at. */
  release(row = this.chosen) {
    if (row === this.chosen) this.looked?.abort();
    for (const one of ["before", "after", "stale"]) row?.[one]?.close();
    if (row) row.before = row.after = row.stale = row.seen = null;
  }

  remove(row) {
    const place = this.rows.indexOf(row);
    this.rows.splice(place, 1);
    row.remove();
    if (row === this.chosen) {
      this.release();
      this.chosen = null;
      const next = this.rows[Math.min(place, this.rows.length - 1)];
      if (next) this.choose(next);
      (next?.part("show") ?? this.choice).focus();
    }
    if (!this.rows.length) this.empty();
    this.pump();
  }

  empty() {
    this.filled(false);
    this.viewer.show(null, null);
    this.choice.focus();
  }

  /** Whether there are pictures: to bring the first is the one thing to do, to bring others is not. */
  filled(is) {
    this.host.classList.toggle("busy", is);
    this.part("work").hidden = this.part("rows").hidden = !is;
    this.part("choose").classList.toggle("primary", !is);
    this.part("choose").querySelector("span").textContent = is ? "Add pictures" : "Choose pictures";
  }

  fileName(row) {
    const stem = row.name.replace(/\.[^.]+$/, "");
    const kind = row.ready.blob.type.replace("image/", "");
    return `${stem}-${this.task.verb}.${SUFFIXES[kind] ?? kind}`;
  }
}

function summary({ ready, result }) {
  return ready ? `${bytes(ready.blob.size)} in ${seconds(ready.seconds)}` : `Done in ${seconds(result.seconds)}`;
}
