// The page: what is at which address, and what there is to be asked.
import { find, make, notice } from "./dom.js";
import { findCopyist } from "./pictures.js";
import { Trouble, json } from "./service.js";
import { told } from "./words.js";

const VIEWS = {
  clean: () => import("./clean.js"),
  dream: () => import("./dream.js"),
  colour: () => import("./colour.js"),
  code: () => import("./code.js"),
  models: () => import("./models.js"),
  credits: async () => ({ open: () => ({}) }),
};
const opened = new Map();
let models = null;

/** The view that an address names, and what stands behind it: `#dream?seed=7`. */
function address() {
  const [name, query = ""] = location.hash.slice(1).split("?");
  return { name, query: new URLSearchParams(query) };
}

async function visit() {
  const { name, query } = address();
  if (name && !(name in VIEWS)) return; // a place on the page that is shown
  const view = name || "clean";
  const another = find(view).hidden;
  for (const each of Object.keys(VIEWS)) find(each).hidden = each !== view;
  for (const link of document.querySelectorAll("nav a"))
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  document.title = view === "clean" ? "denoir" : `${view[0].toUpperCase()}${view.slice(1)} · denoir`;
  if (another && name) find(`${view}-title`).focus();
  if (!models) return;
  if (!opened.has(view)) opened.set(view, VIEWS[view]().then((module) => module.open(models)));
  (await opened.get(view)).visit?.(query);
}

async function start() {
  const line = find("down");
  notice(line);
  try {
    models = (await json("/models")).models;
    findCopyist(models);
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    notice(line, `${told(error)} `, true);
    line.append(make("button", { type: "button", onclick: start }, "Try again"));
  }
  await visit();
}

addEventListener("hashchange", visit);
start();
