// The models that there are, by name.
import { make } from "./dom.js";

/** The model that a title names, or the latest of a name. */
export function named(models, name) {
  const version = ({ version }) => (/^\d+$/.test(version) ? Number(version) : -1);
  const alike = models.filter((model) => [model.title, model.name].includes(name));
  return alike.sort((a, b) => version(b) - version(a))[0];
}

/** Options of a select: titles, shown as names where there is but one of that name. */
export function choices(models) {
  return models.map(({ name, title, size }) => {
    const alone = models.filter((one) => one.name === name).length === 1;
    const words = alone ? name : title;
    return make("option", { value: title }, size ? `${words} (${size[1]} × ${size[0]})` : words);
  });
}
