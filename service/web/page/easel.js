// Paper to draw a picture on.
import { find } from "./dom.js";
import { blobOf } from "./pictures.js";

const LINE = 22;
/** By channels: grey as the digits that models are taught with, colours on white, drawings on nothing. */
const INKS = { 1: { ink: "#fff", paper: "#000" }, 3: { ink: "#000", paper: "#fff" }, 4: { ink: "#000", paper: null } };

export class Easel {
  constructor() {
    this.dialog = find("easel");
    this.canvas = this.dialog.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
  }

  /** Resolves to the drawing as a file, or to nothing. channels: of the model that it is for. */
  async drawn(channels) {
    Object.assign(this, INKS[channels]);
    const over = new AbortController();
    const { signal } = over;
    this.clear();
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event), { signal });
    this.canvas.addEventListener("pointermove", (event) => this.draw(event), { signal });
    this.dialog.querySelector("[name=clear]").addEventListener("click", () => this.clear(), { signal });
    this.dialog.returnValue = "";
    this.dialog.showModal();
    await new Promise((closed) => this.dialog.addEventListener("close", closed, { once: true }));
    over.abort();
    if (this.dialog.returnValue !== "use") return null;
    return blobOf(this.canvas);
  }

  clear() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.paper) return;
    this.context.fillStyle = this.paper;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  at({ offsetX, offsetY }) {
    const share = this.canvas.width / this.canvas.clientWidth;
    return [offsetX * share, offsetY * share];
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.from = this.at(event);
    this.draw(event);
  }

  draw(event) {
    if (!event.buttons) return;
    const to = this.at(event);
    Object.assign(this.context, { strokeStyle: this.ink, lineWidth: LINE, lineCap: "round" });
    this.context.beginPath();
    this.context.moveTo(...this.from);
    this.context.lineTo(to[0] + 0.01, to[1]);
    this.context.stroke();
    this.from = to;
  }
}
