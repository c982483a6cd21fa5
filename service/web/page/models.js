// What is loaded: each model with its card and its contact sheet, fetched when they are looked at.
import { card } from "./card.js";
import { find, make, whenNear } from "./dom.js";
import { ask, json, picture } from "./service.js";
import { told } from "./words.js";

const SMALL = 400;
const NO_FIGURES = "It has not been evaluated: there are no figures.";
const VIEW_OF = { denoise: "clean", sample: "dream", colorize: "colour", encode: "code" };

export function open(models) {
  for (const model of models) {
    const host = article(model);
    find("shelf").append(host);
    whenNear(host, () => showSheet(host.querySelector(".sheet"), model));
  }
  return {};
}

function article(model) {
  const heading = make("h2", { id: `model-${model.title}` }, model.title);
  const card = make("div", { className: "card" });
  const details = make("details", {}, make("summary", {}, "Card and figures", make("span", { className: "apart" }, ` of ${model.title}`)), card);
  details.addEventListener("toggle", () => details.open && fill(card, model));
  const chips = make("ul", { className: "chips" }, ...facts(model).map((fact) => make("li", {}, fact)));
  const words = make("div", { className: "words" }, heading, chips, asked(model), details);
  return make("article", { className: "model panel", aria: { labelledby: heading.id } }, make("div", { className: "sheet" }), words);
}

function facts({ recipe, size, channels, latent }) {
  const colours = { 1: "grey", 3: "colour", 4: "colour, transparent" }[channels];
  const sized = size ? `${size[1]} × ${size[0]} pixels` : "any size";
  return [`recipe ${recipe}`, sized, colours, ...(latent ? [`a code of ${latent} numbers`] : [])];
}

function asked(model) {
  const line = make("p", { className: "faint" }, "Can be asked to ");
  model.asks.forEach((one, place) => {
    const view = VIEW_OF[one];
    line.append(place ? ", " : "", view ? make("a", { href: linkTo(view, model) }, one) : one);
  });
  return line;
}

const linkTo = (view, { title }) => `#${view}?${new URLSearchParams({ model: title })}`;

async function fill(host, model) {
  if (host.dataset.filled) return;
  try {
    host.replaceChildren(make("p", {}, "Fetching"));
    const shown = (await evaluated(model)) ? card(await text(`${wayTo(model)}/card`)) : [make("p", {}, NO_FIGURES)];
    host.replaceChildren(...shown);
    host.dataset.filled = true;
  } catch (error) {
    host.replaceChildren(make("p", {}, `${told(error)} Opening it anew asks again.`));
  }
}

/** Whether there is more to ask for than the model's facts. */
const evaluated = async (model) => Object.keys((await json(wayTo(model))).metrics).length > 0;

const text = async (way) => (await ask(way)).text();

/** Fetched and not linked to, since a key may have to be shown. */
async function showSheet(host, model) {
  try {
    if (!(await evaluated(model))) return host.remove();
    const { blob } = await picture(`${wayTo(model)}/sheet`);
    const image = make("img", { alt: `What ${model.title} makes of pictures, side by side` });
    image.src = URL.createObjectURL(blob);
    await image.decode();
    image.classList.toggle("crisp", image.naturalWidth <= SMALL);
    host.append(image);
  } catch {
    host.remove(); // the card says what is wrong
  }
}

const wayTo = ({ title }) => `/models/${encodeURIComponent(title)}`;
