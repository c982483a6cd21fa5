// The models that there are, by name.
import { find, make, notice } from "./dom.js";

/** The model that a title names, or the latest of a name. */
export function named(models, name) {
  const version = ({ version }) => (/^\d+$/.test(version) ? Number(version) : -1);
  const alike = models.filter((model) => [model.title, model.name].includes(name));
  return alike.sort((a, b) => version(b) - version(a))[0];
}

/** What to say where the model that an address names is not among those of a view. */
export function lost(models, query) {
  const name = query?.get("model");
  return name && !named(models, name) ? `There is no model “${name.slice(0, 60)}” for this here; another one is taken.` : "";
}

/** Says in a view that no model can do what it is for. */
export function lacking(view, what, recipe) {
  const line = make("p", { className: "notice" });
  find(view).append(line);
  notice(line, `No model that is loaded here can ${what}. One of the recipe “${recipe}” on the shelf would be found when the service starts.`);
}

/** Options of a select: titles, shown as names where there is but one of that name. */
export function choices(models) {
  return models.map(({ name, title, size }) => {
    const alone = models.filter((one) => one.name === name).length === 1;
    const words = alone ? name : title;
    return make("option", { value: title }, size ? `${words} (${size[1]} × ${size[0]})` : words);
  });
}
