// Pictures that a VAE draws: a wall of them, the neighbours of one, the way between two, and a pad to walk on.
import { between, way } from "./codes.js";
import { find, make, notice } from "./dom.js";
import { Pad } from "./pad.js";
import { cutOutImages } from "./pictures.js";
import { atMost, decoded, json, path } from "./service.js";
import { choices, lost, named } from "./shelf.js";
import { Wall } from "./wall.js";
import { told } from "./words.js";

const NEIGHBOURS = 24;
const NEAR = 0.25;
const STEPS = 24;
const SEEDS = 2 ** 31;
const BESIDE = "(min-width: 1001px)";

export function open(models) {
  const able = models.filter((model) => model.size && ["sample", "decode"].every((one) => model.asks.includes(one)));
  if (able.length) return new Dream(able);
  notice(find("dream-notice"), "No model that is loaded here can draw pictures. A VAE on the shelf would be found when the service starts.");
  find("dream-settings").hidden = find("dream").querySelector(".dream").hidden = true;
  return {};
}

class Dream {
  constructor(models) {
    this.models = models;
    this.form = find("dream-settings");
    this.fields = this.form.elements;
    this.line = find("near-notice");
    this.picked = [];
    this.pad = new Pad();
    this.wall = new Wall(find("wall"), find("more"), find("wall-notice"), (number) => this.pick(number));
    this.fields.model.append(...choices(models));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", () => this.go());
    this.fields.temperature.addEventListener("input", () => this.tell());
    this.fields.another.addEventListener("click", () => {
      this.fields.seed.value = Math.floor(Math.random() * SEEDS);
      this.go();
    });
  }

  /** Shows what the address says; what it doesn't say is chosen, and then stands there. Returns what can't be shown. */
  visit(query) {
    const model = named(this.models, query.get("model")) ?? named(this.models, "digits-vae") ?? this.models[0];
    const wished = query.get("seed");
    const seed = /^\d{1,18}$/.test(wished ?? "") ? wished : String(Math.floor(Math.random() * SEEDS));
    const temperature = Math.min(2, Math.max(0, Number(query.get("temperature") ?? 1) || 0));
    const picks = query.getAll("pick");
    const state = `${model.title} ${seed} ${temperature}`;
    this.fields.model.value = model.title;
    this.fields.seed.value = seed;
    this.fields.temperature.value = temperature;
    this.tell();
    this.picked = picks.filter((pick) => /^\d{1,9}$/.test(pick)).map(Number).slice(0, 2);
    if (state !== this.state) {
      Object.assign(this, { state, model, seed, temperature });
      this.wall.show(model, seed, temperature).then(() => this.wall.mark(this.picked));
    }
    this.write();
    this.follow();
    return [
      lost(this.models, query),
      wished && wished !== seed ? "The link’s seed is no whole number of up to 18 digits; another one was drawn." : "",
      picks.length > this.picked.length ? "The link picks what is not on the wall, or more than two; that is left out." : "",
    ];
  }

  tell() {
    this.fields.told.value = Number(this.fields.temperature.value).toFixed(2);
  }

  /** Goes to where the settings are. */
  go() {
    if (!this.form.checkValidity() || !this.fields.seed.value) return;
    const { model, seed, temperature } = this.fields;
    location.hash = path("dream", { model: model.value, seed: seed.value, temperature: temperature.value });
  }

  /** Writes into the address what is shown, so that a link shows the same. */
  write() {
    const query = new URLSearchParams({ model: this.model.title, seed: this.seed, temperature: this.temperature });
    for (const number of this.picked) query.append("pick", number);
    history.replaceState(null, "", `#dream?${query}`);
  }

  pick(number) {
    this.picked = this.picked.includes(number)
      ? this.picked.filter((one) => one !== number)
      : [...this.picked.slice(-1), number];
    this.write();
    this.follow();
    if (!matchMedia(BESIDE).matches) find("near-title").scrollIntoView({ behavior: "smooth", block: "nearest" });
  }

  /** Shows what belongs to what was picked. */
  async follow() {
    this.wall.mark(this.picked);
    this.controller?.abort();
    this.controller = new AbortController();
    const { signal } = this.controller;
    notice(this.line);
    try {
      const codes = await Promise.all(this.picked.map((number) => this.code(number, signal)));
      const start = codes.at(-1) ?? (await this.code(0, signal));
      await Promise.all([this.pad.from(this.model, start, signal), this.around(codes, signal)]);
    } catch (error) {
      if (signal.aborted) return;
      notice(this.line, `${told(error)} `, true);
      this.line.append(make("button", { type: "button", className: "small", onclick: () => this.follow() }, "Try again"));
    }
  }

  /** The code of one of the wall's pictures. */
  async code(number, signal) {
    return (await this.codes(number, 1, signal))[0];
  }

  async codes(first, n, signal) {
    const query = { model: this.model.title, seed: this.seed, temperature: this.temperature, first, n };
    return (await json(path("/codes", query), { signal })).codes;
  }

  /** Neighbours of one, the way between two, nothing of none. */
  async around(codes, signal) {
    const [a, b] = codes;
    const titles = ["Neighbours", `Around sample ${this.picked[0]}`, `From ${this.picked[0]} to ${this.picked[1]}`];
    find("near-title").textContent = titles[codes.length];
    find("near-hint").hidden = codes.length > 0;
    find("near").classList.toggle("paper", this.model.channels === 4);
    if (!a) return find("near").replaceChildren();
    const shown = b ? way(a, b, atMost(STEPS)) : await this.neighbours(a, signal);
    const { blob } = await decoded(this.model.title, shown, signal);
    const cells = await cutOutImages(blob, shown.length, this.model.size);
    if (!signal.aborted) find("near").replaceChildren(...cells.map((image, place) => this.near(image, shown[place], place)));
  }

  /** A part of the way from a code to each of others that are drawn alike: so they are as likely as it is. */
  async neighbours(code, signal) {
    const others = await this.codes(2 ** 31, atMost(NEIGHBOURS) - 1, signal);
    return [code, ...others.map((other) => between(code, other, NEAR))];
  }

  near(image, code, place) {
    const [height, width] = this.model.size;
    const button = make("button", { type: "button", className: "cell", aria: { label: `Walk from picture ${place + 1}` } }, image);
    button.style.setProperty("--shape", `${width} / ${height}`);
    button.addEventListener("click", () => this.pad.from(this.model, code, this.controller.signal));
    return button;
  }
}
