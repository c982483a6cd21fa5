// The models that there are, by name.
import { find, make, notice } from "./dom.js";

/** The model that a title names, or the latest of a name. */
export function named(models, name) {
  const version = ({ version }) => (/^\d+$/.test(version) ? Number(version) : -1);
  const alike = models.filter((model) => [model.title, model.name].includes(name));
  return alike.sort((a, b) => version(b) - version(a))[0];
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
