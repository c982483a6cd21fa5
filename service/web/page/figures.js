// Of what was measured of a model, the one figure that says most by what it is made for, and what its sheet shows.

/** Each reads the figures and the table of one set: `[figure, of what, sheet]`; nothing where it was not measured so. */
const READERS = [restored, repaired, sparse, sturdy, coloured, surprised];
const REBUILT = "From the top: pictures, what their codes make of them, and the same with 10, 30 and 50 % of the code left out.";

/** The headline of a model's metrics, by what it can be asked: `{figure, words, sheet}`, or nothing. */
export function headline({ sets = {} }, asks) {
  for (const [set, { figures = {}, table = [] }] of Object.entries(sets)) {
    const found = READERS.map((read) => read(figures, table)).find(Boolean);
    if (!found) continue;
    const [figure, what, sheet] = found;
    const drawn = sheet === REBUILT && asks.includes("sample") ? " The rest are drawn." : "";
    return { figure, words: `${what} (${set.replace(/\.\w+$/, "")})`, sheet: sheet + drawn };
  }
  return null;
}

function restored(_, table) {
  const row = table.find(({ sigma }) => sigma === 25);
  if (!row) return null;
  return [`${decimals(row["estimated PSNR"])} dB`, `from ${decimals(row["noisy PSNR"])}, noise of 25`, "By turns: with noise of 25, and cleaned."];
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

function surprised({ nll, negative_elbo: bound }) {
  const nats = nll ?? bound;
  return nats && [`${nats < 1000 ? decimals(nats) : Math.round(nats).toLocaleString("en")} nats`, "a picture, at most", "Drawn at temperature 1, none left out."];
}

const decimals = (number) => number.toFixed(1);
