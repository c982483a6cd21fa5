// What is loaded: each model with its headline, its card and its contact sheet, fetched when they are looked at.
import { card } from "./card.js";
import { find, make, whenNear } from "./dom.js";
import { headline } from "./figures.js";
import { ask, json, picture } from "./service.js";
import { told } from "./words.js";

const SMALL = 400;
const NO_FIGURES = "It has not been evaluated: there are no figures.";
const VIEW_OF = { denoise: "clean", sample: "dream", colorize: "colour", encode: "code" };

export function open(models) {
  for (const model of models) {
    const host = article(model);
    find("shelf").append(host);
    whenNear(host, () => showMeasured(host, model));
  }
  return {};
}

function article(model) {
  const heading = make("h2", { id: `model-${model.title}` }, model.title);
  const card = make("div", { className: "card" });
  const details = make("details", {}, make("summary", {}, "Card and figures", make("span", { className: "apart" }, ` of ${model.title}`)), card);
  details.addEventListener("toggle", () => details.open && fill(card, model));
  const chips = make("ul", { className: "chips" }, ...facts(model).map((fact) => make("li", {}, fact)));
  const [figure, caption] = ["headline", "faint caption"].map((className) => make("p", { className }, "\u00a0")); // their room
  const words = make("div", { className: "words" }, caption, heading, figure, chips, asked(model), details);
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
    const measured = Object.keys(await metricsOf(model)).length;
    host.replaceChildren(...(measured ? card(await (await ask(`${wayTo(model)}/card`)).text()) : [make("p", {}, NO_FIGURES)]));
    host.dataset.filled = true;
  } catch (error) {
    host.replaceChildren(make("p", {}, `${told(error)} Opening it anew asks again.`));
  }
}

const metricsOf = async (model) => (await json(wayTo(model))).metrics;

/**
 * What there is to be seen of a model before its card is opened; what goes wrong is told by the card. Where there is no
 * sheet its room stays empty: what one is about to click must not move.
 */
async function showMeasured(host, model) {
  const sheet = host.querySelector(".sheet");
  try {
    const metrics = await metricsOf(model);
    showHeadline(host, headline(metrics, model));
    if (Object.keys(metrics).length) await showSheet(sheet, model);
    else sheet.textContent = "Nothing was measured yet";
  } catch {
    sheet.textContent = "Its contact sheet did not come";
  }
}

function showHeadline(host, found) {
  if (!found) return;
  host.querySelector(".headline").replaceChildren(make("b", {}, found.figure), ` ${found.words}`);
  host.querySelector(".caption").textContent = found.sheet;
}

/** Fetched and not linked to, since a key may have to be shown. */
async function showSheet(host, model) {
  const { blob } = await picture(`${wayTo(model)}/sheet`, { headers: { Accept: "image/webp" } });
  const image = make("img", { alt: `What ${model.title} makes of pictures, side by side` });
  image.src = URL.createObjectURL(blob);
  await image.decode();
  image.classList.toggle("crisp", image.naturalWidth <= SMALL);
  host.append(image);
}

const wayTo = ({ title }) => `/models/${encodeURIComponent(title)}`;
