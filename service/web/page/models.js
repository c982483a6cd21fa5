// What is loaded: each model with its card and its contact sheet, fetched when they are looked at.
import { card } from "./card.js";
import { find, make } from "./dom.js";
import { ask, picture } from "./service.js";
import { told } from "./words.js";

const VIEW_OF = { denoise: "clean", sample: "dream", colorize: "colour", encode: "code" };

export function open(models) {
  find("shelf").append(...models.map(article));
  return {};
}

function article(model) {
  const heading = make("h2", { id: `model-${model.title}` }, model.title);
  const card = make("div", { className: "card" });
  const details = make("details", {}, make("summary", {}, "Card and figures", make("span", { className: "apart" }, ` of ${model.title}`)), card);
  details.addEventListener("toggle", () => details.open && !card.childElementCount && fill(card, model));
  const chips = make("ul", { className: "chips" }, ...facts(model).map((fact) => make("li", {}, fact)));
  return make("article", { className: "model panel", aria: { labelledby: heading.id } }, heading, chips, asked(model), details);
}

function facts({ recipe, size, channels, latent }) {
  const sized = size ? `${size[1]} × ${size[0]} pixels` : "any size";
  return [`recipe ${recipe}`, sized, channels === 1 ? "grey" : "colour", ...(latent ? [`a code of ${latent} numbers`] : [])];
}

function asked(model) {
  const line = make("p", { className: "faint" }, "Asked to ");
  model.asks.forEach((one, place) => {
    const view = VIEW_OF[one];
    line.append(place ? ", " : "", view ? make("a", { href: linkTo(view, model) }, one) : one);
  });
  return line;
}

const linkTo = (view, { title }) => `#${view}?${new URLSearchParams({ model: title })}`;

async function fill(host, model) {
  const way = `/models/${encodeURIComponent(model.title)}`;
  try {
    host.replaceChildren(make("p", {}, "Fetching"));
    const text = await (await ask(`${way}/card`)).text();
    host.replaceChildren(...card(text));
    await showSheet(host, model, way);
  } catch (error) {
    const words = error.slug === "not-evaluated" ? "It has not been evaluated: there are no figures." : told(error);
    host.append(make("p", {}, words));
  }
}

/** Fetched and not linked to, since a key may have to be shown. */
async function showSheet(host, model, way) {
  const { blob } = await picture(`${way}/sheet`);
  const image = make("img", { alt: `What ${model.title} makes of pictures, side by side` });
  image.src = URL.createObjectURL(blob);
  await image.decode();
  host.append(image);
}
