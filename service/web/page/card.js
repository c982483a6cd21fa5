// A model card on the page: the little of Markdown that cards are written in.
import { make } from "./dom.js";

const NUMBER = /^-?[\d.,]+(e[+-]?\d+)?$/;

/** The elements of a card; its head of YAML, its title and its pictures, which the page has elsewhere, are left out. */
export function card(text) {
  const body = text.replace(/^---\n[\s\S]*?\n---\n/, "");
  const blocks = body.split(/\n\s*\n/).map((block) => block.trim().split("\n"));
  return blocks.flatMap(blockOf);
}

function blockOf(lines) {
  const [first] = lines;
  const heading = /^(#{1,6}) (.*)/.exec(first);
  if (heading) {
    const rest = lines.length > 1 ? blockOf(lines.slice(1)) : [];
    return heading[1].length === 1 ? rest : [make(heading[1].length === 2 ? "h3" : "h4", {}, ...inline(heading[2])), ...rest];
  }
  if (first.startsWith("![") || !first) return [];
  if (first.startsWith("- ")) return [make("ul", {}, ...lines.map((line) => make("li", {}, ...inline(line.slice(2)))))];
  if (first.startsWith("|")) return [table(lines)];
  return [make("p", {}, ...inline(lines.join(" ")))];
}

function table(lines) {
  const [head, , ...rows] = lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const isNumber = head.map((_, column) => rows.every((row) => NUMBER.test(row[column])));
  const kind = (column) => ({ className: isNumber[column] ? "number" : "" });
  const header = make("tr", {}, ...head.map((cell, column) => make("th", { scope: "col", ...kind(column) }, ...inline(cell))));
  const body = rows.map((row) => make("tr", {}, ...row.map((cell, column) => make("td", kind(column), ...inline(cell)))));
  const whole = make("table", {}, make("thead", {}, header), make("tbody", {}, ...body));
  return make("div", { className: "wide", tabIndex: 0, aria: { role: "group", label: `Figures by ${head[0]}` } }, whole);
}

/** Text with `code` and links; of a link to a file beside the card only its words are kept. */
function inline(text) {
  return text.split(/(`[^`]+`|\[[^\]]+\]\([^)]+\))/).map((part) => {
    if (/^`.+`$/.test(part)) return make("code", {}, part.slice(1, -1));
    return /^\[([^\]]+)\]\(/.exec(part)?.[1] ?? part;
  });
}
