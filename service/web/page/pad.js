// A pad that walks through two numbers of a code.
import { moved } from "./codes.js";
import { eachFrame, find, make, notice } from "./dom.js";
import { cutOut, showOn } from "./pictures.js";
import { atMost, decoded } from "./service.js";
import { Walk } from "./walk.js";
import { told } from "./words.js";

const SPAN = 3;
const AT_ONCE = 32;
const SECOND = 1000;

export class Pad {
  constructor() {
    this.line = find("pad-notice");
    this.field = find("pad-field");
    this.dot = this.field.querySelector("i");
    this.picture = find("pad-picture");
    this.axes = ["across", "down"].map((name) => ({ number: find(`pad-${name}-number`), by: find(`pad-${name}`) }));
    this.times = [];
    this.walk = new Walk((bitmap) => this.shown(bitmap), (trouble) => this.wrong(trouble));
    this.moved = eachFrame(() => this.go());
    this.listen();
  }

  listen() {
    for (const { number, by } of this.axes) {
      by.addEventListener("input", () => this.moved());
      number.addEventListener("change", () => this.moved());
    }
    this.field.addEventListener("pointerdown", (event) => {
      this.field.setPointerCapture(event.pointerId);
      this.drift(false);
    });
    this.field.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" && !this.field.hasPointerCapture(event.pointerId)) return;
      if (!this.drifting) this.pointed(event);
    });
    this.field.addEventListener("pointerup", (event) => this.pointed(event));
    find("pad-home").addEventListener("click", () => {
      this.drift(false);
      this.place(0, 0);
    });
    find("pad-drift").addEventListener("click", () => this.drift(!this.drifting));
  }

  pointed({ clientX, clientY }) {
    const { left, top, width, height } = this.field.getBoundingClientRect();
    this.place(SPAN * ((2 * (clientX - left)) / width - 1), SPAN * ((2 * (clientY - top)) / height - 1));
  }

  place(across, down) {
    [across, down].forEach((by, axis) => (this.axes[axis].by.value = by.toFixed(2)));
    this.moved();
  }

  /** Goes to where it is told: by pointer, sliders or drift. */
  go() {
    const [across, down] = this.axes.map(({ by }) => Number(by.value));
    this.dot.style.left = `${50 + (50 * across) / SPAN}%`;
    this.dot.style.top = `${50 + (50 * down) / SPAN}%`;
    if (!this.code) return;
    const changes = this.axes.map(({ number, by }) => [Number(number.value), Number(by.value)]);
    this.walk.to(this.model.title, moved(this.code, changes));
  }

  wrong(trouble) {
    notice(this.line, told(trouble), true);
  }

  shown(bitmap) {
    showOn(this.picture, bitmap);
    notice(this.line);
    const now = performance.now();
    this.times = [...this.times.filter((time) => now - time < SECOND), now];
    find("pad-rate").textContent = this.times.length > 5 ? `${this.times.length} pictures a second` : "";
  }

  /** Walks from this code on. The numbers to walk along are those that change most about it, unless they are kept. */
  async from(model, code, signal) {
    const another = this.model?.title !== model.title;
    Object.assign(this, { model, code });
    this.picture.classList.toggle("paper", model.channels === 4);
    if (another) this.offer(code.map((_, index) => index));
    this.place(0, 0);
    if (this.ranked === model.title) return;
    try {
      const found = await this.liveliest(model, code, signal);
      if (signal.aborted) return;
      this.ranked = model.title;
      this.offer(found);
      this.go();
    } catch (error) {
      if (!signal.aborted) this.wrong(error);
    }
  }

  /** The numbers of a code to choose from, the best first. */
  offer(indices) {
    this.axes.forEach(({ number }, axis) => {
      number.replaceChildren(...indices.map((index) => make("option", { value: index }, `number ${index}`)));
      number.value = indices[Math.min(axis, indices.length - 1)];
    });
  }

  /** The numbers of a code by how much they change its picture. */
  async liveliest(model, code, signal) {
    const effects = [];
    const each = Math.max(1, Math.floor(atMost(2 * AT_ONCE) / 2));
    for (let first = 0; first < code.length; first += each) {
      const some = code.slice(first, first + each).map((_, place) => first + place);
      const codes = some.flatMap((index) => [moved(code, [[index, SPAN / 2]]), moved(code, [[index, -SPAN / 2]])]);
      const { blob } = await decoded(model.title, codes, signal);
      const cells = (await cutOut(blob, codes.length, model.size)).map(levels);
      some.forEach((index, place) => effects.push([index, difference(cells[2 * place], cells[2 * place + 1])]));
    }
    return effects.sort((a, b) => b[1] - a[1]).map(([index]) => index);
  }

  /** Walks by itself, until it is told not to. */
  drift(on) {
    this.drifting = on;
    find("pad-drift").setAttribute("aria-pressed", on);
    if (!on) return;
    const began = performance.now();
    const step = (now) => {
      if (!this.drifting || !this.field.offsetParent) return this.drift(false);
      const time = (now - began) / SECOND;
      this.place(2.4 * Math.sin(0.7 * time), 2.4 * Math.sin(0.53 * time));
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}

const levels = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;

function difference(a, b) {
  let sum = 0;
  for (let place = 0; place < a.length; place += 1) sum += Math.abs(a[place] - b[place]);
  return sum;
}
