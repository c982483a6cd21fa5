// A wall of samples that grows as it is scrolled: picture i of a seed is the same whenever it comes.
import { make, notice } from "./dom.js";
import { cutOut } from "./pictures.js";
import { path, picture } from "./service.js";
import { told } from "./words.js";

const AT_ONCE = 48;
const AHEAD = 600;

export class Wall {
  /** host: of the pictures. more: the button behind them. chosen(number, cell) is told of clicks. */
  constructor(host, more, line, chosen) {
    Object.assign(this, { host, more, line, chosen });
    more.addEventListener("click", () => this.grow());
    host.addEventListener("keydown", (event) => this.key(event));
    host.addEventListener("focusin", ({ target }) => this.stopAt(target));
    const ahead = { rootMargin: `${AHEAD}px`, scrollMargin: `${AHEAD}px` };
    new IntersectionObserver(([seen]) => seen.isIntersecting && this.grow(), ahead).observe(more);
  }

  /** Begins anew: the pictures of a seed. */
  show(model, seed, temperature) {
    this.controller?.abort();
    this.controller = new AbortController();
    Object.assign(this, { model, seed, temperature, count: 0, growing: false });
    const [height, width] = model.size;
    this.host.style.setProperty("--shape", `${width} / ${height}`);
    this.host.replaceChildren();
    return this.grow();
  }

  async grow() {
    if (this.growing || !this.model) return;
    this.growing = true;
    const { signal } = this.controller;
    const { model, seed, temperature, count: first } = this;
    const query = { model: model.title, seed, temperature, n: AT_ONCE, first };
    try {
      const { blob } = await picture(path("/sample", query), { signal });
      const cells = await cutOut(blob, AT_ONCE, model.size);
      if (signal.aborted) return;
      this.host.append(...cells.map((canvas, number) => this.cell(canvas, first + number)));
      this.count += AT_ONCE;
      notice(this.line);
      this.growing = false;
      this.fill();
    } catch (error) {
      if (signal.aborted) return;
      this.growing = false;
      notice(this.line, `${told(error)} “More” tries again.`, true);
    }
  }

  /** Goes on where the end is still in sight, of which nobody is told anew. */
  fill() {
    const { top } = this.more.getBoundingClientRect();
    if (this.more.offsetParent && top < innerHeight + AHEAD) this.grow();
  }

  cell(canvas, number) {
    const button = make("button", { type: "button", className: "cell", aria: { label: `Sample ${number}`, pressed: false } }, canvas);
    button.dataset.number = number;
    button.tabIndex = number ? -1 : 0;
    button.addEventListener("click", () => this.chosen(number));
    return button;
  }

  /** The wall has no end, so Tab stops at one of its pictures, and arrows go from there. */
  stopAt(cell) {
    for (const one of this.host.querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
    cell.tabIndex = 0;
  }

  key(event) {
    const columns = getComputedStyle(this.host).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    const next = this.host.children[Number(document.activeElement.dataset.number) + step];
    if (!step) return;
    event.preventDefault();
    next?.focus();
  }

  /** Marks those that are chosen. */
  mark(numbers) {
    for (const cell of this.host.children) cell.setAttribute("aria-pressed", numbers.includes(Number(cell.dataset.number)));
  }
}
