// The page: what is at which address, and what there is to be asked.
import { find, make, notice } from "./dom.js";
import { findCopyist } from "./pictures.js";
import { allow, json } from "./service.js";
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

/** The view that an address names, and what stands behind it: `#dream?seed=7`. Null for a place on the view shown. */
function address() {
  const [name, query = ""] = location.hash.slice(1).split("?");
  if (Object.hasOwn(VIEWS, name)) return { view: name, query: new URLSearchParams(query), named: true };
  const shown = Object.keys(VIEWS).some((view) => !find(view).hidden);
  return shown && name && find(name) ? null : { view: "clean", query: new URLSearchParams(), named: false };
}

async function visit() {
  const there = address();
  if (!there) return;
  const { view, query } = there;
  const another = find(view).hidden;
  for (const each of Object.keys(VIEWS)) find(each).hidden = each !== view;
  for (const link of document.querySelectorAll("nav a"))
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  document.title = view === "clean" ? "denoir" : `${view[0].toUpperCase()}${view.slice(1)} · denoir`;
  if (another && there.named) find(`${view}-title`).focus();
  notice(find("lost"));
  if (!models) return;
  try {
    const unmet = (await open(view)).visit?.(query) ?? [];
    if (find(view).hidden) return;
    notice(find("lost"), unmet.filter(Boolean).join(" "));
    notice(find("down"));
  } catch (error) {
    console.warn(error);
    if (find(view).hidden) return;
    // A module that did not come: the service is gone, or it is another version of it by now.
    down("This view did not come from the service. See whether it runs, then try again, or load the page again.");
  }
}

/** A view, made when it is first come to. One that could not be made is forgotten, so that it can be tried again. */
async function open(view) {
  if (!opened.has(view)) opened.set(view, VIEWS[view]().then((module) => module.open(models)));
  try {
    const made = await opened.get(view);
    find(view).classList.add("open");
    return made;
  } catch (error) {
    opened.delete(view);
    throw error;
  }
}

function down(words) {
  const line = find("down");
  notice(line, `${words} `, true);
  line.append(make("button", { type: "button", onclick: start }, "Try again"));
}

async function start() {
  notice(find("down"));
  try {
    const known = await json("/models");
    models = known.models;
    allow(known.most);
    findCopyist(models);
  } catch (error) {
    down(told(error));
  }
  await visit();
}

addEventListener("hashchange", visit);
start();
