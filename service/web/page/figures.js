// Of what was measured of a model, the one figure that says most by what it is made for, and what its sheet shows.

/**
 * Each reads the figures, the table and the further tables of one set, and the recipe: `[figure, of what, sheet]`; nothing
 * where it was not measured so.
 */
const READERS = [photographed, restored, repaired, sparse, sturdy, coloured, likened, surprised];
const CLEANED = "By turns: with noise of 25, and cleaned.";
const DRAWN = "Drawn at temperature 1, none left out.";
const REBUILT = "From the top: pictures, what their codes make of them, and the same with 10, 30 and 50 % of the code left out.";

/** The headline of a model's metrics, by its recipe and what it can be asked: `{figure, words, sheet}`, or nothing. */
export function headline({ sets = {} }, { recipe, asks }) {
  for (const [set, { figures = {}, table = [], more = {} }] of Object.entries(sets)) {
    const further = Object.values(more).flat();
    const found = READERS.map((read) => read(figures, table, further, recipe)).find(Boolean);
    if (!found) continue;
    const [figure, what, sheet] = found;
    const drawn = sheet === REBUILT && asks.includes("sample") ? " The rest are drawn." : "";
    return { figure, words: `${what} (${set.replace(/\.\w+$/, "")})`, sheet: sheet + drawn };
  }
  return null;
}

/** What is trained for a camera's noise is told by that; what is not is measured on it too. */
function photographed(_, __, further, recipe) {
  const row = recipe === "photo-real" && further.find(({ noise }) => noise === "a camera's");
  return row && [`${decimals(row["PSNR after"])} dB`, `from ${decimals(row["PSNR before"])}, a camera's noise`, CLEANED];
}

function restored(_, table) {
  const row = table.find(({ sigma }) => sigma === 25);
  if (!row) return null;
  return [`${decimals(row["estimated PSNR"])} dB`, `from ${decimals(row["noisy PSNR"])}, noise of 25`, CLEANED];
}

function repaired(_, table) {
  const row = table.find(({ damage }) => damage === "50 % dropped");
  if (!row) return null;
  return [`${decimals(row["PSNR out"])} dB`, `from ${decimals(row["PSNR in"])}, half of the pixels dropped`, "Damaged on the left, mended on the right."];
}

function sparse({ zeros, code }) {
  return zeros > 0 && [`${decimals(100 * zeros)} % zeros`, `in a code of ${code} numbers`, REBUILT];
}

function sturdy({ MSE }, table) {
  const error = table.find((row) => row["code zeroed"] === "30%")?.["MSE, rest scaled"];
  return error && [`${decimals(error / MSE)} × the error`, "when 30 % of the code is left out", REBUILT];
}

function coloured(_, table) {
  const [none, ours] = ["no colour", "as answered"].map((name) => table.find(({ colours }) => colours === name));
  return ours && [`${decimals(ours["chroma RMS"])} levels off`, `instead of ${decimals(none["chroma RMS"])} without colours`, "By threes: grey, coloured, and as it was."];
}

/** Of what draws, and whose likelihood was not estimated. */
function likened({ nll }, _, further) {
  const [drawn, real] = ["drawn, temperature 1", "other real pictures"].map((name) => further.find(({ pictures }) => pictures === name));
  if (nll || !drawn || !real) return null;
  return [`${decimals(drawn.frechet)} Fréchet distance`, `of drawn pictures to real ones, ${decimals(real.frechet)} among real ones`, DRAWN];
}

function surprised({ nll, negative_elbo: bound }) {
  const nats = nll ?? bound;
  return nats && [`${nats < 1000 ? decimals(nats) : Math.round(nats).toLocaleString("en")} nats`, "a picture, at most", DRAWN];
}

const decimals = (number) => number.toFixed(1);
