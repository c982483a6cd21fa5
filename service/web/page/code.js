// The code of a picture as bars, and what is made of those that are left.
import { Easel } from "./easel.js";
import { eachFrame, find, make, notice } from "./dom.js";
import { blobOf, cutOut, showOn } from "./pictures.js";
import { atMost, json, path, picture } from "./service.js";
import { Walk } from "./walk.js";
import { choices, lost, named } from "./shelf.js";
import { told } from "./words.js";

const GIVEN = 16;
const SEED = 7;
/** A temperature at which few of them are blurred. */
const CALM = 0.7;
const FEW = 5;
const REACH = 12;

export function open(models) {
  const able = models.filter((model) => model.size && ["encode", "decode"].every((one) => model.asks.includes(one)));
  if (able.length) return new Coded(able, models);
  notice(find("code-notice"), "No model that is loaded here has a code to be shown. One of the recipes “sparse” or “vae” on the shelf would be found when the service starts.");
  find("code-settings").hidden = find("code-body").hidden = true;
  return {};
}

class Coded {
  constructor(models, all) {
    Object.assign(this, { models, all, code: [], out: new Set(), here: 0, own: null });
    this.form = find("code-settings");
    this.bars = find("bars");
    this.line = find("code-notice");
    this.body = find("code-body");
    this.walk = new Walk((bitmap) => showOn(find("code-rebuilt"), bitmap), (trouble) => this.wrong(trouble));
    this.rebuild = eachFrame(() => this.coder && this.walk.to(this.coder.title, this.kept()));
    const { model, draw, file } = this.form.elements;
    model.append(...choices(models));
    model.value = (models.find(({ recipe }) => recipe.includes("sparse")) ?? models[0]).title;
    model.addEventListener("change", () => this.showGiven());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    draw.addEventListener("click", async () => this.takeOwn(await new Easel().drawn(this.model.channels)));
    file.addEventListener("change", () => {
      this.takeOwn(file.files[0]);
      file.value = "";
    });
    this.listen();
  }

  listen() {
    this.bars.addEventListener("click", (event) => this.code.length && this.flip(this.barAt(event)));
    this.bars.addEventListener("pointermove", (event) => this.at(this.barAt(event)));
    this.bars.addEventListener("keydown", (event) => this.key(event));
    find("code-all").addEventListener("click", () => this.leaveOut([]));
    find("code-few").addEventListener("click", () => this.leaveOut(this.byHeight().slice(FEW)));
  }

  /** Shows the chosen model's pictures to take, and the code of one's own, or else of the first. */
  visit(query) {
    this.showGiven(query);
    return [lost(this.models, query)];
  }

  async showGiven(query) {
    const { model } = this.form.elements;
    model.value = (named(this.models, query?.get("model")) ?? { title: model.value }).title;
    const { value } = model;
    if (this.model?.title === value) return;
    this.model = this.models.find(({ title }) => title === value);
    this.giving?.abort(); // what is still asked for is the model's before
    this.taking?.abort();
    this.giving = new AbortController();
    this.taking = null;
    const { signal } = this.giving;
    this.body.ariaBusy = true;
    this.body.classList.toggle("paper", this.model.channels === 4);
    await this.take(this.own);
    try {
      const cells = await this.given(signal);
      const first = cells.length ? await blobOf(cells[0]) : null;
      if (signal.aborted) return;
      find("code-given").replaceChildren(...cells.map((canvas, number) => this.cell(canvas, number)));
      if (!this.taking) await this.take(first);
    } catch (error) {
      if (!signal.aborted) this.wrong(error);
    }
    if (!signal.aborted) this.body.ariaBusy = false;
  }

  /** Pictures of the model's size, drawn by one that can: the VAE of its family, itself, or the first that draws such. */
  async given(signal) {
    const { size, channels, recipe, title } = this.model;
    const artists = this.all.filter((one) => one.asks.includes("sample") && String(one.size) === String(size) && one.channels === channels);
    const artist = named(artists, `${recipe.split("-")[0]}-vae`) ?? named(artists, title) ?? artists[0];
    if (!artist) return [];
    const n = atMost(GIVEN);
    const { blob } = await picture(path("/sample", { model: artist.title, seed: SEED, temperature: CALM, n }), { signal });
    return cutOut(blob, n, size);
  }

  cell(canvas, number) {
    const button = make("button", { type: "button", className: "cell", aria: { label: `Take picture ${number + 1}` } }, canvas);
    button.addEventListener("click", async () => {
      this.own = null;
      this.take(await blobOf(canvas));
    });
    return button;
  }

  /** Takes a file or a drawing, and keeps it for whatever model is chosen next. */
  takeOwn(file) {
    if (file) this.own = file;
    this.take(file);
  }

  /** Asks for a picture's code, and shows both, unless another picture or model is chosen meanwhile. */
  async take(file) {
    if (!file) return;
    this.taking?.abort();
    this.taking = new AbortController();
    const { model } = this;
    const { signal } = this.taking;
    const options = { method: "POST", body: file, signal };
    try {
      const found = await json(path("/encode", { model: model.title }), options);
      const rebuilt = await picture(path("/reconstruct", { model: model.title, format: "png" }), options);
      const shown = await createImageBitmap(file).catch(() => createImageBitmap(rebuilt.blob));
      if (signal.aborted) return;
      showOn(find("code-picture"), shown);
      this.show(found, model);
      notice(this.line);
    } catch (error) {
      if (!signal.aborted) this.wrong(error);
    }
  }

  /** coder: the model whose code it is, as another one may have been chosen since. */
  show({ code, zeros }, coder) {
    Object.assign(this, { code, coder, out: new Set() });
    [this.here] = this.byHeight();
    const nought = Math.round(zeros * code.length);
    find("code-told").textContent = nought
      ? `${nought} of ${code.length} numbers are exactly 0: ${Math.round(100 * zeros)} %.`
      : `${code.length} numbers, none of them exactly 0.`;
    const most = Math.max(...code.map(Math.abs)) || 1;
    this.bars.classList.toggle("upright", code.every((value) => value >= 0));
    this.bars.replaceChildren(...code.map((value, index) => barOf(value, index, most)));
    this.mark();
  }

  mark() {
    for (const [index, bar] of [...this.bars.children].entries()) {
      bar.setAttribute("aria-selected", !this.out.has(index));
      bar.classList.toggle("here", index === this.here);
    }
    this.bars.setAttribute("aria-activedescendant", `bar-${this.here}`);
    this.tellBar();
    this.rebuild();
  }

  /** The bar that is meant: where they are narrow, the nearest that is not 0 within a finger's reach. */
  barAt({ clientX }) {
    const { left, width } = this.bars.getBoundingClientRect();
    const each = width / this.code.length;
    const there = Math.min(this.code.length - 1, Math.max(0, Math.floor((clientX - left) / each)));
    for (let by = 0; by * each <= REACH; by += 1)
      for (const index of [there - by, there + by]) if (this.code[index]) return index;
    return there;
  }

  at(index) {
    this.here = index;
    this.tellBar();
  }

  tellBar() {
    const value = this.code[this.here];
    find("bar-told").textContent = value === undefined ? "" : `number ${this.here}: ${value.toPrecision(3)}`;
  }

  flip(index) {
    this.here = index;
    if (!this.out.delete(index)) this.out.add(index);
    this.mark();
  }

  leaveOut(indices) {
    this.out = new Set(indices);
    this.mark();
  }

  kept() {
    return this.code.map((value, index) => (this.out.has(index) ? 0 : value));
  }

  byHeight() {
    return this.code.map((_, index) => index).sort((a, b) => Math.abs(this.code[b]) - Math.abs(this.code[a]));
  }

  /** Arrows go from bar to bar, with Ctrl to the next that is not 0; space and Enter leave one out. */
  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const last = this.code.length - 1;
    if (step) {
      let next = this.here + step;
      while (event.ctrlKey && this.code[next] === 0) next += step;
      this.here = Math.min(last, Math.max(0, next));
    } else if (event.key === "Home") this.here = 0;
    else if (event.key === "End") this.here = last;
    else if (event.key === " " || event.key === "Enter") return event.preventDefault() ?? this.flip(this.here);
    else return;
    event.preventDefault();
    this.mark();
  }

  wrong(error) {
    notice(this.line, told(error), true);
  }
}

function barOf(value, index, most) {
  const bar = make("i");
  bar.style.height = `${(100 * Math.abs(value)) / most}%`;
  const side = make("div", { className: "bar", id: `bar-${index}`, aria: { role: "option", label: `number ${index}: ${value.toPrecision(3)}` } }, bar);
  side.dataset.index = index;
  side.classList.toggle("below", value < 0);
  return side;
}
