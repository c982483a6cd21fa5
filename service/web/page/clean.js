// The first view: noise out of photographs.
import { Bench } from "./bench.js";
import { find, make } from "./dom.js";
import { path, pictureInParts } from "./service.js";
import { choices, lacking, lost, named } from "./shelf.js";
import { bytes, percent, seconds } from "./words.js";

const FORMATS = [
  ["", "As it came"],
  ["png", "PNG"],
  ["jpeg", "JPEG"],
  ["webp", "WebP"],
  ["avif", "AVIF"],
  ["tiff", "TIFF"],
];
/** The least level of noise that is told as a number; a photograph without any that is found is told 1. */
const LEAST = 1.05;
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
    ask,
    shown: (row) => panel.show(row),
    answered: (row) => panel.hear(row),
    facts,
  };
  const bench = new Bench(find("clean"), task);
  bench.part("settings-side").append(panel.element);
  panel.changed = () => bench.chosen && bench.set(bench.chosen, panel.given());
  panel.mixed = (strength) => bench.viewer.mix(strength);
  panel.alone = () => bench.rows.length < 2;
  panel.all = () => bench.rows.forEach((row) => bench.set(row, panel.given()));
  return {
    visit(query) {
      panel.choose(query.get("model"));
      panel.tell();
      panel.changed();
      return [lost(able, query)];
    },
  };
}

/** A level that is set tells nothing of the kind of noise: what answers is then the model that the noise asked for before. */
async function ask(row, { model, sigma, strength, format }, signal) {
  const byNoise = !model && sigma === null;
  const query = {
    model: model || (byNoise ? null : row.suited),
    sigma,
    strength: strength < 1 ? strength : null,
    format: format || null,
  };
  const options = { method: "POST", body: row.file, signal };
  const answer = await pictureInParts(path("/denoise", query), (done, tiles) => row.progress(done, tiles), options);
  if (byNoise) row.suited = answer.headers.get("denoir-model");
  return answer;
}

function facts({ before, after, changed, file, ready, result, strength }) {
  const computed = /model;dur=([\d.]+)/.exec(result?.headers.get("server-timing") ?? "");
  return [
    ["Model", result?.headers.get("denoir-model")],
    ["Taken away", after && `${(strength * changed).toFixed(1)} levels`],
    ["Picture", before && `${before.width} × ${before.height}`],
    ["Size", result && `${bytes(file.size)} → ${ready ? bytes(ready.blob.size) : "–"}`],
    ["Time", result && seconds(result.seconds)],
    ["Computing", computed && seconds(computed[1] / 1000)],
  ];
}

/** The settings of the picture that is looked at; the next pictures get those that were last chosen. */
class Panel {
  constructor(models) {
    this.models = models;
    const options = (pairs) => pairs.map(([value, words]) => make("option", { value }, words));
    this.level = range({ max: 100, step: 0.5, value: 0 });
    this.levelTold = make("span", { className: "told" });
    this.levelHint = make("p", { className: "faint" });
    this.found = make("button", { type: "button", className: "small", hidden: true }, "Measure it again");
    this.strength = range({ max: 1, step: 0.05, value: 1 });
    this.strengthTold = make("span", { className: "told" }, "100 %");
    this.model = make("select", {}, ...(suiting(models) ? options([SUITED]) : []), ...choices(models));
    this.format = make("select", {}, ...options(FORMATS));
    this.everywhere = make("button", { type: "button", className: "small" }, "The same for all pictures");
    const hint = make("div", { className: "hint" }, this.levelHint, this.found);
    this.levelPart = make("div", {}, labelled("Noise level", this.level, this.levelTold), hint);
    this.element = make(
      "div",
      { className: "settings-side" },
      this.levelPart,
      labelled("Strength", this.strength, this.strengthTold),
      labelled("Model", this.model),
      labelled("Format", this.format),
      this.everywhere,
    );
    if (!suiting(models)) this.choose(favourite(models).title);
    this.sigma = this.measured = null;
    this.listen();
  }

  choose(name) {
    this.model.value = (named(this.models, name) ?? { title: this.model.value }).title;
  }

  get takesLevel() {
    return !this.model.value || named(this.models, this.model.value)?.level;
  }

  listen() {
    this.level.addEventListener("input", () => {
      this.sigma = Number(this.level.value);
      this.tell();
    });
    this.level.addEventListener("change", () => this.changed());
    this.found.addEventListener("click", () => {
      this.sigma = this.measured = null; // what was told last was set
      this.tell();
      this.changed();
      this.level.focus();
    });
    this.strength.addEventListener("input", () => {
      this.tell();
      this.mixed(Number(this.strength.value));
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
    const [strength, format] = [Number(this.strength.value), this.format.value];
    return { model: this.model.value, sigma, strength, format };
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
  hear({ result }) {
    this.measured = result ? Number(result.headers.get("denoir-sigma") ?? 0) : null;
    if (this.sigma === null) this.level.value = this.measured ?? 0;
    this.tell();
  }

  tell() {
    const auto = this.sigma === null;
    this.levelPart.hidden = !this.takesLevel;
    this.levelTold.textContent = auto ? level(this.measured) : `${this.sigma.toFixed(1)}, set by you`;
    this.levelHint.textContent = hint(this.measured);
    this.levelHint.hidden = !auto;
    this.found.hidden = auto;
    this.everywhere.hidden = this.alone?.() ?? true;
    this.strengthTold.textContent = percent(this.strength.value);
  }
}

const none = (measured) => measured !== null && measured < LEAST;

function level(measured) {
  if (measured === null) return "measured by itself";
  return none(measured) ? "none found" : `${measured.toFixed(1)}, measured`;
}

function hint(measured) {
  return none(measured)
    ? "It is left as it is, or nearly. Set a level if you see noise."
    : "How strong the noise is, of 255 levels. Set it where too much goes, or too little.";
}

/** What leaves the choice to the service. */
const SUITED = ["", "As the noise asks"];
const suiting = (models) => named(models, "photo") && named(models, "photo-real");

/** Where there is no choice: the one for photographs, else any for pictures of any size. */
const favourite = (models) =>
  named(models, "photo") ?? named(models, "photo-real") ?? models.find(({ size }) => !size) ?? models[0];

const range = (properties) => Object.assign(make("input", { type: "range", min: 0 }), properties);

function labelled(words, control, told = "") {
  return make("label", {}, make("span", { className: "head" }, make("span", {}, words), told), control);
}
