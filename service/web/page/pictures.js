// Pictures on the page: decoded, made small, cut out of a grid.
import { make } from "./dom.js";
import { path, picture } from "./service.js";

const GAP = 2;
const SMALL = 2048;
const MIDDLE = 1024;
let copyist = null;

/** Says which of the models can be asked for a picture as it is, in another format: one that takes out noise of 0. */
export function findCopyist(models) {
  copyist = models.find(({ asks, level, size }) => asks.includes("denoise") && level && !size)?.title;
}

/** A picture to be drawn: at full size, and one no larger than a screen for when it is far away. */
export class Drawable {
  constructor(full, small) {
    Object.assign(this, { full, small, width: full.width, height: full.height });
  }

  /** Of a file. What the browser can't read, the service turns into what it can. Throws where neither can. */
  static async of(blob, signal) {
    const full = await bitmapOf(blob, signal);
    const share = SMALL / Math.max(full.width, full.height);
    if (share >= 1) return new Drawable(full, full);
    const size = { resizeWidth: Math.max(1, Math.round(full.width * share)), resizeHeight: Math.max(1, Math.round(full.height * share)) };
    return new Drawable(full, await createImageBitmap(full, { ...size, resizeQuality: "high" }));
  }

  /** Root mean square of how far another of the same size is from it in the middle, in grey levels. */
  differenceTo(other) {
    const [one, two] = [this, other].map((drawable) => drawable.middle());
    let sum = 0;
    for (let place = 0; place < one.length; place += 1) if (place % 4 < 3) sum += (one[place] - two[place]) ** 2;
    return Math.sqrt(sum / (0.75 * one.length));
  }

  middle() {
    const [width, height] = [Math.min(MIDDLE, this.width), Math.min(MIDDLE, this.height)];
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(this.full, Math.round((width - this.width) / 2), Math.round((height - this.height) / 2));
    return context.getImageData(0, 0, width, height).data;
  }

  close() {
    this.full.close();
    this.small.close();
  }
}

async function bitmapOf(blob, signal) {
  try {
    return await createImageBitmap(blob);
  } catch (error) {
    if (!copyist) throw error;
    const way = path("/denoise", { model: copyist, sigma: 0, format: "png" });
    const shown = await picture(way, { method: "POST", body: blob, signal });
    return createImageBitmap(shown.blob);
  }
}

/** The single pictures of a grid as the service makes it: canvases of `height` x `width`, row by row. */
export async function cutOut(blob, count, [height, width]) {
  const grid = await createImageBitmap(blob);
  const columns = Math.ceil(Math.sqrt(count));
  const cells = Array.from({ length: count }, (_, number) => {
    const left = GAP + (number % columns) * (width + GAP);
    const top = GAP + Math.floor(number / columns) * (height + GAP);
    return canvasOf(grid, left, top, width, height);
  });
  grid.close();
  return cells;
}

/** The same as images, where they are many: each canvas costs time with every frame that is drawn, wherever it changes. */
export async function cutOutImages(blob, count, size) {
  return Promise.all((await cutOut(blob, count, size)).map(imageOf));
}

async function imageOf(canvas) {
  const src = URL.createObjectURL(await blobOf(canvas));
  const image = make("img", { alt: "", src, className: canvas.className });
  await image.decode();
  URL.revokeObjectURL(src);
  return image;
}

export const blobOf = (canvas) => new Promise((made) => canvas.toBlob(made, "image/png"));

/** A canvas with a part of a bitmap. Small pictures are shown pixel by pixel. */
function canvasOf(bitmap, left, top, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.classList.toggle("crisp", Math.max(width, height) <= 40);
  canvas.getContext("2d").drawImage(bitmap, -left, -top);
  return canvas;
}

/** Shows a bitmap or a canvas on a canvas that is on the page. */
export function showOn(canvas, source) {
  if (canvas.width !== source.width || canvas.height !== source.height) {
    Object.assign(canvas, { width: source.width, height: source.height });
    canvas.classList.toggle("crisp", Math.max(source.width, source.height) <= 40);
  }
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0);
}
