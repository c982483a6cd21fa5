// Asking the service that this page comes from.
import { askForKey, key } from "./key.js";
import { parts } from "./multipart.js";

/** Statuses of what is wrong with a request and may be right later: a key to be given, too slow, too often. */
const PASSING = [401, 408, 429];
/** Slugs of what stays wrong though no status says so. */
const FINAL = ["unreadable", "not-finite", "not-encoded"];

/** What went wrong. slug: of the problem. after: seconds until it is worth to try again, where that is known. */
export class Trouble extends Error {
  constructor(slug, problem = {}, after = 0) {
    super(problem.detail ?? slug);
    Object.assign(this, { slug, problem, after });
  }

  /** Whether the same may go well when it is tried again: not where the picture, or what is asked of it, is at fault. */
  get passes() {
    const { status = 0 } = this.problem;
    return !FINAL.includes(this.slug) && (status < 400 || status >= 500 || PASSING.includes(status));
  }
}

/** A path with a query; what is null or undefined is left out. */
export function path(way, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `${way}?${new URLSearchParams(given)}` : way;
}

/** The answer to a request that went well. Throws Trouble, or what an aborted signal throws. */
export async function ask(way, { headers = {}, ...options } = {}) {
  for (;;) {
    const shown = key();
    const sent = shown ? { ...headers, Authorization: `Bearer ${shown}` } : headers;
    const answer = await reached(way, { ...options, headers: sent });
    if (answer.ok) return answer;
    const trouble = troubleOf(await problemOf(answer), Number(answer.headers.get("retry-after")));
    if (answer.status !== 401) throw trouble;
    // Another request may have been told the key meanwhile.
    if (key() === shown && !(await askForKey())) throw trouble;
  }
}

async function reached(way, options) {
  try {
    return await fetch(way, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Trouble("gone");
  }
}

async function problemOf(answer) {
  try {
    return await answer.json();
  } catch {
    return { status: answer.status, detail: `the service answered ${answer.status}` };
  }
}

const troubleOf = (problem, after = 0) =>
  new Trouble(String(problem.type ?? "").replace("urn:denoir:", "") || "unknown", problem, after || 0);

export const json = async (way, options) => (await ask(way, options)).json();

/** A picture: `{blob, headers}`. */
export async function picture(way, options) {
  const answer = await ask(way, options);
  return { blob: await whole(answer.blob(), options?.signal), headers: answer.headers };
}

/** The same, told how far it is: `progress(done, tiles)`. */
export async function pictureInParts(way, progress, { headers, ...options }) {
  const answer = await ask(way, { ...options, headers: { ...headers, Accept: "multipart/mixed" } });
  const type = answer.headers.get("content-type") ?? "";
  if (!type.startsWith("multipart/")) return { blob: await answer.blob(), headers: answer.headers };
  return whole(lastPart(answer, progress), options.signal);
}

async function lastPart(answer, progress) {
  let found;
  for await (const { headers, body } of parts(answer)) {
    const type = headers.get("content-type");
    if (type === "application/json") {
      const { done, tiles } = JSON.parse(new TextDecoder().decode(body));
      progress(done, tiles);
    } else if (type === "application/problem+json") {
      throw troubleOf(JSON.parse(new TextDecoder().decode(body)));
    } else {
      found = { blob: new Blob([body], { type }), headers };
    }
  }
  return found;
}

/** What comes of reading an answer to its end. */
async function whole(reading, signal) {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Trouble || signal?.aborted) throw error;
    throw new Trouble("cut-off");
  }
}

let most = 64;

/** Says how many pictures one answer may have. */
export function allow(count) {
  most = count;
}

/** So many pictures, or as many as one answer may have. */
export const atMost = (count) => Math.min(count, most);

/** Pictures of codes, as one grid. */
export const decoded = (model, codes, signal) =>
  picture("/decode", { method: "POST", body: JSON.stringify({ model, codes }), signal });
