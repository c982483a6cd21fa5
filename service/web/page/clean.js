// The first view: noise out of photographs.
import { Bench } from "./bench.js";
import { find, make } from "./dom.js";
import { path, pictureInParts } from "./service.js";
import { choices, lacking, named } from "./shelf.js";
import { bytes, seconds } from "./words.js";

const FORMATS = [
  ["", "As it came"],
  ["png", "PNG"],
  ["jpeg", "JPEG"],
  ["webp", "WebP"],
  ["avif", "AVIF"],
  ["tiff", "TIFF"],
];
const SAMPLES = {
  title: "Or take one of these",
  note: "CC0 photographs. The noise in them is ours: made by the program that teaches the models, as a camera in the dark makes it.",
  folder: "",
  pictures: [
    ["rocket.jpg", "Rocket", "SpaceX"],
    ["cat.jpg", "Cat", "Stefan van der Walt"],
    ["coffee.jpg", "Coffee", "Rachel Michetti"],
    ["bridge.jpg", "Bridge", "Ryan Stone"],
  ],
};

export function open(models) {
  const able = models.filter((model) => model.asks.includes("denoise"));
  if (!able.length) return lacking("clean", "take noise out of pictures", "photo") ?? {};
  const panel = new Panel(able);
  const task = {
    verb: "clean",
    samples: SAMPLES,
    settings: () => panel.next(),
    ask: (row, signal) =>
      pictureInParts(path("/denoise", queryOf(row.settings)), (done, tiles) => row.progress(done, tiles), {
        method: "POST",
        body: row.file,
        signal,
      }),
    shown: (row) => panel.show(row),
    answered: (row) => panel.hear(row),
    facts,
  };
  const bench = new Bench(find("clean"), task);
  bench.part("settings-side").append(panel.element);
  panel.changed = () => bench.chosen && bench.redo(bench.chosen, panel.given());
  panel.mixed = (strength) => bench.viewer.mix(strength);
  panel.alone = () => bench.rows.length < 2;
  panel.all = () => bench.rows.forEach((row) => row !== bench.chosen && bench.redo(row, panel.given()));
  return { visit: (query) => panel.choose(query.get("model")) };
}

const queryOf = ({ model, sigma, strength, format }) => ({
  model,
  sigma,
  strength: strength < 1 ? strength : null,
  format: format || null,
});

function facts(row) {
  const { headers, blob } = row.result;
  const sigma = headers.get("denoir-sigma");
  const computed = /model;dur=([\d.]+)/.exec(headers.get("server-timing") ?? "");
  return [
    ["Model", headers.get("denoir-model") ?? ""],
    ...(sigma === null ? [] : [["White noise", `${Number(sigma).toFixed(1)}, ${row.settings.sigma === null ? "found" : "told"}`]]),
    ...(row.after ? [["Taken away", `${row.changed.toFixed(1)} levels`]] : []),
    ...(row.before ? [["Picture", `${row.before.width} × ${row.before.height}`]] : []),
    ["Size", `${bytes(row.file.size)} → ${bytes(blob.size)}`],
    ["Time", seconds(row.result.seconds)],
    ...(computed ? [["Of it computing", seconds(computed[1] / 1000)]] : []),
  ];
}

/** The settings of the picture that is looked at; the next pictures get those that were last chosen. */
class Panel {
  constructor(models) {
    this.models = models;
    const options = (pairs) => pairs.map(([value, words]) => make("option", { value }, words));
    this.level = range({ max: 100, step: 0.5, value: 0 });
    this.levelTold = make("span", { className: "told" }, "found by itself");
    this.found = make("button", { type: "button", className: "small", hidden: true }, "Use the level found");
    this.strength = range({ max: 1, step: 0.05, value: 1 });
    this.strengthTold = make("span", { className: "told" }, "100 %");
    this.model = make("select", {}, ...choices(models));
    this.format = make("select", {}, ...options(FORMATS));
    this.everywhere = make("button", { type: "button", className: "small" }, "The same for all pictures");
    this.levelPart = make("div", {}, labelled("Noise level", this.level, this.levelTold), this.found);
    this.element = make(
      "div",
      { className: "settings-side" },
      this.levelPart,
      labelled("Strength", this.strength, this.strengthTold),
      labelled("Model", this.model),
      labelled("Format", this.format),
      this.everywhere,
    );
    this.choose(favourite(models)?.title);
    this.sigma = null;
    this.listen();
  }

  choose(name) {
    this.model.value = (named(this.models, name) ?? { title: this.model.value }).title;
  }

  get takesLevel() {
    return named(this.models, this.model.value)?.level;
  }

  listen() {
    this.level.addEventListener("input", () => {
      this.sigma = Number(this.level.value);
      this.tell();
    });
    this.level.addEventListener("change", () => this.changed());
    this.found.addEventListener("click", () => {
      this.sigma = null;
      this.tell();
      this.changed();
      this.level.focus();
    });
    this.strength.addEventListener("input", () => {
      this.tell();
      if (this.mixable) this.mixed(Number(this.strength.value));
    });
    for (const one of [this.strength, this.model, this.format])
      one.addEventListener("change", () => {
        this.tell();
        this.changed();
      });
    this.everywhere.addEventListener("click", () => this.all());
  }

  given() {
    const sigma = this.takesLevel ? this.sigma : null;
    return { model: this.model.value, sigma, strength: Number(this.strength.value), format: this.format.value };
  }

  /** For a picture that has just come: all as it was last set, but the level, which is its own. */
  next() {
    return { ...this.given(), sigma: null };
  }

  show(row) {
    const { model, sigma, strength, format } = row.settings;
    this.sigma = sigma;
    this.level.value = sigma ?? 0;
    this.strength.value = strength;
    this.model.value = model;
    this.format.value = format;
    this.hear(row);
  }

  /** Tells what was found of a picture; what is set stays so, as it may have been changed meanwhile. */
  hear({ result, settings }) {
    this.heard = result?.headers.get("denoir-sigma") ?? null;
    if (this.sigma === null) this.level.value = this.heard ?? 0;
    this.mixable = settings.strength === 1;
    this.tell();
  }

  tell() {
    const auto = this.sigma === null;
    const found = this.heard ? `${Number(this.heard).toFixed(1)}, found` : "found by itself";
    this.levelPart.hidden = !this.takesLevel;
    this.levelTold.textContent = auto ? found : `${this.sigma.toFixed(1)}, told`;
    this.found.hidden = auto;
    this.everywhere.hidden = this.alone?.() ?? true;
    this.strengthTold.textContent = `${Math.round(100 * this.strength.value)} %`;
  }
}

/** The one for photographs as cameras make them, else any for pictures of any size. */
const favourite = (models) =>
  named(models, "photo-real") ?? named(models, "photo") ?? models.find(({ size }) => !size) ?? models[0];

const range = (properties) => Object.assign(make("input", { type: "range", min: 0 }), properties);

function labelled(words, control, told = "") {
  return make("label", {}, make("span", { className: "head" }, make("span", {}, words), told), control);
}
