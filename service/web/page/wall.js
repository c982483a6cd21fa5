// A wall of samples that grows as it is scrolled: picture i of a seed is the same whenever it comes.
import { eachFrame, make, notice } from "./dom.js";
import { cutOutImages } from "./pictures.js";
import { atMost, path, picture } from "./service.js";
import { told } from "./words.js";

const AT_ONCE = 48;
const AHEAD = 600;

export class Wall {
  /** host: of the pictures. more: the button behind them. line: for what goes wrong. chosen(number) is told of clicks. */
  constructor(host, more, line, chosen) {
    Object.assign(this, { host, more, line, chosen });
    more.addEventListener("click", () => this.grow());
    host.addEventListener("keydown", (event) => this.key(event));
    host.addEventListener("focusin", ({ target }) => this.stopAt(target));
    const look = eachFrame(() => this.fill());
    // Either the page scrolls or, where it is narrow, the wall's own side; scrolls don't bubble, but they are captured.
    document.addEventListener("scroll", look, { capture: true, passive: true });
    addEventListener("resize", look);
    new ResizeObserver(look).observe(more); // it has none while the view is hidden
  }

  /** Begins anew: the pictures of a seed. */
  show(model, seed, temperature) {
    this.controller?.abort();
    this.controller = new AbortController();
    Object.assign(this, { model, seed, temperature, count: 0, growing: false });
    const [height, width] = model.size;
    this.host.style.setProperty("--shape", `${width} / ${height}`);
    this.host.classList.toggle("paper", model.channels === 4);
    this.host.replaceChildren();
    notice(this.line);
    return this.grow();
  }

  async grow() {
    if (this.growing || !this.model) return;
    this.growing = true;
    this.stuck = false;
    this.host.ariaBusy = true;
    const { signal } = this.controller;
    const { model, seed, temperature, count: first } = this;
    const n = atMost(AT_ONCE);
    const query = { model: model.title, seed, temperature, n, first };
    try {
      const { blob } = await picture(path("/sample", query), { signal });
      const cells = await cutOutImages(blob, n, model.size);
      if (signal.aborted) return;
      this.host.append(...cells.map((image, number) => this.cell(image, first + number)));
      this.count += n;
      notice(this.line);
    } catch (error) {
      if (signal.aborted) return;
      this.stuck = true;
      notice(this.line, `${told(error)} “More” tries again.`, true);
    }
    this.growing = false;
    this.host.ariaBusy = false;
    this.fill();
  }

  /** Goes on where the end is in sight, or nearly; not by itself where that went wrong. */
  fill() {
    if (this.stuck || !this.more.offsetParent) return;
    const end = Math.min(innerHeight, this.more.parentElement.getBoundingClientRect().bottom);
    if (this.more.getBoundingClientRect().top < end + AHEAD) this.grow();
  }

  cell(image, number) {
    const button = make("button", { type: "button", className: "cell", aria: { label: `Sample ${number}`, pressed: false } }, image);
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
