// Colours for grey photographs.
import { Bench } from "./bench.js";
import { find, make } from "./dom.js";
import { path, picture } from "./service.js";
import { choices, lacking, lost, named } from "./shelf.js";
import { bytes, seconds } from "./words.js";

const SAMPLES = {
  title: "Or take one of these",
  note: "CC0 photographs, whose colours we have taken away.",
  folder: "grey/",
  pictures: [
    ["bridge.jpg", "Bridge", "Ryan Stone"],
    ["mountain.jpg", "Mountain", "Sven Scheuermeier"],
    ["cat.jpg", "Cat", "Stefan van der Walt"],
    ["coffee.jpg", "Coffee", "Rachel Michetti"],
  ],
};

export function open(models) {
  const able = models.filter((model) => model.asks.includes("colorize"));
  if (!able.length) return lacking("colour", "colour pictures", "colorize") ?? {};
  const model = make("select", {}, ...choices(able));
  model.value = (named(able, "colorize") ?? able[0]).title;
  const task = {
    verb: "colour",
    samples: SAMPLES,
    grey: true,
    settings: () => ({ model: model.value }),
    ask: (row, { model }, signal) => picture(path("/colorize", { model }), { method: "POST", body: row.file, signal }),
    shown: (row) => (model.value = row.settings.model),
    facts: ({ before, file, result }) => [
      ["Model", result?.headers.get("denoir-model")],
      ["Picture", before && `${before.width} × ${before.height}`],
      ["Size", result && `${bytes(file.size)} → ${bytes(result.blob.size)}`],
      ["Time", result && seconds(result.seconds)],
    ],
  };
  const bench = new Bench(find("colour"), task);
  bench.part("settings-side").append(make("label", {}, "Model", model));
  const changed = () => bench.chosen && bench.set(bench.chosen, task.settings());
  model.addEventListener("change", changed);
  return {
    visit(query) {
      model.value = (named(able, query.get("model")) ?? { title: model.value }).title;
      changed();
      return [lost(able, query)];
    },
  };
}
