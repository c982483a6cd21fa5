// Two pictures of one size, before and after, drawn on one canvas: so zoom and place are the same for both.
import { copyOf, eachFrame, make } from "./dom.js";
import { Gestures } from "./gestures.js";

const PIXELS = 16;
const MOST = 64;
const STEP = 1.5;
const SQUARE = 8;

export class Viewer {
  /** host: an empty element. */
  constructor(host) {
    host.append(copyOf("viewer"));
    this.host = host;
    this.view = host.querySelector(".view");
    this.canvas = host.querySelector("canvas");
    this.divider = host.querySelector(".divider");
    this.veil = host.querySelector(".veil");
    this.far = host.querySelector(".far");
    this.zoomed = host.querySelector("output");
    this.before = this.after = null;
    this.grey = false;
    this.strength = 1;
    this.split = 0.5;
    this.fitted = true;
    this.scale = this.x = this.y = 0;
    this.draw = eachFrame(() => this.drawNow());
    this.gestures = new Gestures(this);
    new ResizeObserver(() => this.sized()).observe(this.view);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.draw);
    host.querySelector(".tools").addEventListener("click", ({ target }) => this.tool(target.dataset.zoom));
    this.divider.addEventListener("keydown", (event) => this.dividerKey(event));
    this.view.addEventListener("keydown", (event) => event.target === this.view && this.key(event));
  }

  /** Shows pictures; `after` may be null as yet. `grey`: the first without its colours. `strength`: see mix. */
  show(before, after, { grey = false, strength = 1 } = {}) {
    const another = !this.before || this.before.width !== before?.width || this.before.height !== before?.height;
    Object.assign(this, { before, after, grey, strength });
    if (another) this.fitted = true;
    this.host.classList.toggle("whole", Boolean(after));
    this.divider.hidden = !after;
    for (const tag of this.host.querySelectorAll(".tag")) tag.hidden = !after;
    this.sized();
  }

  /**
   * Says something over the picture, and offers what can be done about it: `[words, does]`. share: how far it is, of 1;
   * below 0 where nobody knows, null where there is nothing to wait for.
   */
  cover(words, offer = null, share = null) {
    const [told, button] = this.veil.children;
    if (!offer && document.activeElement === button) this.view.focus();
    told.textContent = words;
    button.textContent = offer?.[0] ?? "";
    button.onclick = offer?.[1] ?? null;
    button.hidden = !offer;
    this.veil.hidden = !words;
    this.far.hidden = share === null;
    if (share >= 0) this.far.value = share ?? 0;
    else this.far.removeAttribute("value");
  }

  /** How much of the second picture is mixed into the first, 0 to 1, where it is shown: as the service would. */
  mix(strength) {
    this.strength = strength;
    this.draw();
  }

  get width() {
    return this.view.clientWidth;
  }

  get height() {
    return this.view.clientHeight;
  }

  get fitting() {
    return this.before ? Math.min(this.width / this.before.width, this.height / this.before.height) : 1;
  }

  get zoomedIn() {
    return this.scale > this.fitting * 1.001;
  }

  sized() {
    for (const side of ["width", "height"]) {
      this.canvas[side] = Math.round(this[side] * devicePixelRatio);
      this.canvas.style[side] = `${this.canvas[side] / devicePixelRatio}px`; // stretched to a part of a pixel it blurs
    }
    if (this.fitted) this.fit();
    else this.settle();
    this.drawNow();
  }

  fit() {
    if (!this.before) return;
    Object.assign(this, { fitted: true, scale: this.fitting, x: this.before.width / 2, y: this.before.height / 2 });
    this.settle();
  }

  /** Zooms about a point of the view, in pixels from its corner; that point of the picture stays there. */
  zoomTo(scale, left = this.width / 2, top = this.height / 2) {
    if (!this.before) return;
    const next = Math.min(MOST, Math.max(this.fitting, scale));
    const [right, down] = [left - this.width / 2, top - this.height / 2];
    this.x += right / this.scale - right / next;
    this.y += down / this.scale - down / next;
    this.scale = next;
    this.fitted = !this.zoomedIn;
    this.settle();
  }

  pan(right, down) {
    this.x -= right / this.scale;
    this.y -= down / this.scale;
    this.settle();
  }

  /** Keeps the picture in the view, and says where it is. */
  settle() {
    if (!this.before) return;
    const held = (at, size, room) => {
      const half = Math.min(room / this.scale / 2, size / 2);
      return Math.min(size - half, Math.max(half, at));
    };
    this.x = held(this.x, this.before.width, this.width);
    this.y = held(this.y, this.before.height, this.height);
    this.view.classList.toggle("near", this.zoomedIn);
    this.zoomed.textContent = `${Math.round(100 * this.scale)} %`;
    this.draw();
  }

  splitAt(share) {
    this.split = Math.min(1, Math.max(0, share));
    this.draw();
  }

  /** Where the divider is, in pixels from the left of the view. It stands over the picture where that is narrower. */
  get dividerLeft() {
    const room = this.before ? Math.min(this.width, this.before.width * this.scale) : this.width;
    return (this.width - room) / 2 + this.split * room;
  }

  splitAtLeft(left) {
    const room = this.before ? Math.min(this.width, this.before.width * this.scale) : this.width;
    this.splitAt((left - (this.width - room) / 2) / room);
  }

  drawNow() {
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.before || !this.width) return;
    const left = this.dividerLeft;
    this.divider.style.left = `${left}px`;
    const [aside, above] = this.place(this.before);
    this.view.style.setProperty("--aside", `${Math.max(0, aside)}px`);
    this.view.style.setProperty("--above", `${Math.max(0, above)}px`);
    const percent = Math.round(100 * this.split);
    this.divider.setAttribute("aria-valuenow", percent);
    this.divider.setAttribute("aria-valuetext", `${percent} % before, ${100 - percent} % after`);
    context.scale(devicePixelRatio, devicePixelRatio);
    const end = this.after ? left : this.width;
    const paper = this.paper(context);
    this.side(context, 0, end, () => this.paint(context, this.before, { paper, grey: this.grey }));
    if (!this.after) return;
    this.side(context, end, this.width, () => {
      if (this.strength === 1) return this.paint(context, this.after, { paper });
      this.lay(context, paper);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.drawImage(this.mixed(), 0, 0);
    });
  }

  /** Both pictures, each by its share, added: so what is transparent in both stays so. */
  mixed() {
    const layer = new OffscreenCanvas(this.canvas.width, this.canvas.height);
    const context = layer.getContext("2d");
    context.scale(devicePixelRatio, devicePixelRatio);
    context.globalCompositeOperation = "lighter";
    for (const [drawable, share] of [[this.before, 1 - this.strength], [this.after, this.strength]]) {
      context.globalAlpha = share;
      this.paint(context, drawable, {});
    }
    return layer;
  }

  /** What is seen through a picture: squares in the view's own two colours. */
  paper(context) {
    const { backgroundColor, color } = getComputedStyle(this.view);
    const tile = make("canvas", { width: 2 * SQUARE, height: 2 * SQUARE });
    const squares = tile.getContext("2d");
    for (const [fill, side] of [[backgroundColor, 2 * SQUARE], [color, SQUARE]]) {
      squares.fillStyle = fill;
      squares.fillRect(0, 0, side, side);
      squares.fillRect(SQUARE, SQUARE, side, side);
    }
    return context.createPattern(tile, "repeat");
  }

  side(context, from, to, paint) {
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, this.height);
    context.clip();
    paint();
    context.restore();
  }

  paint(context, drawable, { paper, grey = false }) {
    const near = this.scale * devicePixelRatio;
    const share = drawable.small.width / drawable.width;
    context.imageSmoothingEnabled = near < 3;
    context.imageSmoothingQuality = "high";
    const place = this.place(drawable);
    if (paper) this.lay(context, paper);
    context.drawImage(near <= share ? drawable.small : drawable.full, ...place);
    if (!grey) return;
    context.globalCompositeOperation = "saturation"; // keeps luma by Rec. 601, as the service does
    context.fillStyle = "#808080";
    context.fillRect(...place);
  }

  lay(context, paper) {
    context.fillStyle = paper;
    context.fillRect(...this.place(this.before));
  }

  /** Where a picture lies: left, top, width and height in the view. */
  place({ width, height }) {
    const [left, top] = [this.width / 2 - this.x * this.scale, this.height / 2 - this.y * this.scale];
    return [left, top, width * this.scale, height * this.scale];
  }

  tool(name) {
    const does = {
      in: () => this.zoomTo(this.scale * STEP),
      out: () => this.zoomTo(this.scale / STEP),
      fit: () => this.fit(),
      one: () => this.zoomTo(1 / devicePixelRatio),
      pixels: () => this.zoomTo(PIXELS),
    }[name];
    does?.();
  }

  key(event) {
    const by = Math.max(24, this.width / 8);
    const does = {
      ArrowLeft: () => this.pan(by, 0),
      ArrowRight: () => this.pan(-by, 0),
      ArrowUp: () => this.pan(0, by),
      ArrowDown: () => this.pan(0, -by),
      "+": () => this.tool("in"),
      "=": () => this.tool("in"),
      "-": () => this.tool("out"),
      0: () => this.tool("fit"),
      1: () => this.tool("one"),
    }[event.key];
    if (!does || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    does();
  }

  dividerKey(event) {
    const to = {
      ArrowLeft: this.split - 0.05,
      ArrowDown: this.split - 0.05,
      ArrowRight: this.split + 0.05,
      ArrowUp: this.split + 0.05,
      PageDown: this.split - 0.2,
      PageUp: this.split + 0.2,
      Home: 0,
      End: 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.splitAt(to);
  }
}
