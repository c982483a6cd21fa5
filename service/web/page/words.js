// What is said: sizes, times, and what to do about what went wrong.
import { Trouble } from "./service.js";

export function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  return count < 1e6 ? `${Math.round(count / 1000)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function seconds(count) {
  if (count < 10) return `${count.toFixed(1)} s`;
  return count < 90 ? `${Math.round(count)} s` : `${Math.round(count / 60)} min`;
}

export const percent = (share) => `${Math.round(100 * share)} %`;

const megapixels = (count) => `${Math.round(count / 1e5) / 10} megapixels`;

/** By the slug of the problem: a sentence, made of the problem. */
const SENTENCES = {
  gone: () => "The service does not answer. See whether it runs, then try again.",
  "cut-off": () => "The service ended before it was done. Try again.",
  unauthorized: () => "The service asks for a key. Try again to enter one.",
  "shutting-down": () => "The service is stopping. Try again when it runs.",
  "not-ready": () => "The service is starting. Try again in a moment.",
  deadline: () => "It took longer than the service lets an answer take. Try a smaller picture, or at a quieter time.",
  "upload-too-slow": () => "It was sent too slowly, or not at all. Try again on a better connection.",
  "unsupported-format": () => "This is no picture that can be read here. Take PNG, JPEG, WebP, BMP, TIFF, GIF or AVIF.",
  "unsupported-depth": () => "Its kind of pixels can't be read here. Save it with 8 or 16 bits a channel.",
  "damaged-image": () => "The file is damaged or was cut short. Take another copy of it.",
  unreadable: () => "This can’t be read: it is a folder, or has been moved since. Choose it from where it is now.",
  "empty-upload": () => "The file is empty. Take another copy of it.",
  animated: () => "It moves, or has several pages. Save the one picture that you want.",
  "image-too-large": tooLarge,
  "upload-too-large": (it) => `The file is larger than the ${bytes(it.max_bytes)} that the service takes. Make it smaller.`,
  "wrong-size": (it) => `This model takes pictures of ${it.width} × ${it.height} alone. Choose another model.`,
  "cannot-fit": (it) => `${sentence(it.detail)} Take another picture.`,
  "wrong-model": (it) => `${sentence(it.detail)} Choose another model.`,
  "unknown-model": () => "The service has no such model any more. Load this page again.",
  "not-finite": () => "The model has no answer to this. Try another noise level, or another model.",
  "internal-error": (it) => `Something went wrong in the service. Its log has it under ${it.instance}. Try again.`,
};

/** Of too long a side: another format than the one asked for may have it; where none is named, the service has not. */
function tooLarge({ width, height, max_pixels, max_side, format }) {
  if (!max_side) return `It has ${megapixels(width * height)}, and the service takes ${megapixels(max_pixels)}. Make it smaller.`;
  if (!format) return `A side of a picture may have at most ${max_side} pixels. Make it smaller.`;
  const name = { webp: "WebP" }[format] ?? format.toUpperCase();
  return `A side of a picture in ${name} may have at most ${max_side} pixels. Choose another format: PNG.`;
}

/** The same of what passes by itself. */
const PASSING = {
  "too-many-requests": "Your key has asked as often as it may.",
  overloaded: "The service is busy.",
  "too-many-connections": "The service is busy.",
  "out-of-memory": "The service has no memory left for this one now.",
  "no-decoder": "The service can't read pictures now.",
};

const sentence = (words) => `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;

/** What is wrong. */
export function why({ slug, problem }) {
  return PASSING[slug] ?? SENTENCES[slug]?.(problem) ?? sentence(problem.detail ?? "that did not work");
}

/** The same, and what to do about it. Not of what is no Trouble, as a body that was cut off: that is for the console. */
export function told(trouble) {
  if (!(trouble instanceof Trouble)) {
    console.error(trouble);
    return "That did not work. Try again.";
  }
  const { slug, after, passes } = trouble;
  if (after) return `${why(trouble)} It can be asked again in about ${seconds(after)}.`;
  if (PASSING[slug]) return `${why(trouble)} Try again in a moment.`;
  if (SENTENCES[slug]) return why(trouble);
  return `${why(trouble)} ${passes ? "Try again." : "Try another picture, or other settings."}`;
}
