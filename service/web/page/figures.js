// Of what was measured of a model, the one figure that says most by what it is made for, and what its sheet shows.

/** Each reads the figures and the table of one set: `[figure, of what, sheet]`; nothing where it was not measured so. */
const READERS = [restored, repaired, sparse, sturdy, coloured, surprised];
const REBUILT = "From the top: pictures, the same made of their codes, and with 10, 30 and 50 % of these left out.";

/** The headline of a model's metrics: `{figure, words, sheet}`, or nothing. */
export function headline({ sets = {} }) {
  for (const [set, { figures = {}, table = [] }] of Object.entries(sets)) {
    const found = READERS.map((read) => read(figures, table)).find(Boolean);
    if (found) return { figure: found[0], words: `${found[1]} (${set})`, sheet: found[2] };
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
  return error && [`${decimals(error / MSE)} × the error`, "with 30 % of the code taken away", REBUILT];
}

function coloured(_, table) {
  const [none, ours] = ["no colour", "as answered"].map((name) => table.find(({ colours }) => colours === name));
  return ours && [`${decimals(ours["chroma RMS"])} levels off`, `without colour ${decimals(none["chroma RMS"])}`, "By threes: grey, coloured, and as it was."];
}

function surprised({ nll, negative_elbo: bound }) {
  const nats = nll ?? bound;
  return nats && [`${nats < 1000 ? decimals(nats) : Math.round(nats).toLocaleString("en")} nats`, "a picture, at most", "Drawn at temperature 1, none left out."];
}

const decimals = (number) => number.toFixed(1);
