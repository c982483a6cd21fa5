// Making and finding elements. Text is only ever set as text.

export const find = (id) => document.getElementById(id);

/** An element with those properties (`data` and `aria` as objects of their own) and children. */
export function make(tag, { data = {}, aria = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name === "role" ? name : `aria-${name}`, value);
  element.append(...children);
  return element;
}

/** A copy of what a template holds. */
export const copyOf = (id) => find(id).content.cloneNode(true);

/** Tells those who can't see what has changed. */
export function say(text) {
  const line = find("said");
  line.textContent = line.textContent === text ? `${text}\u00a0` : text;
}

/** Shows a sentence in an element that is otherwise hidden; nothing hides it. */
export function notice(element, text = "", bad = false) {
  element.textContent = text;
  element.classList.toggle("bad", bad);
  element.hidden = !text;
}

/** Runs once an element is in sight, or nearly. */
export function whenNear(element, run) {
  const seen = new IntersectionObserver(
    (entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      seen.disconnect();
      run();
    },
    { rootMargin: "300px" },
  );
  seen.observe(element);
}

/** A function that runs at most once before the next frame is drawn. */
export function eachFrame(run) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      run();
    });
  };
}
