"""What was measured, told: `metrics.json`, the model card, a contact sheet, tables."""

import json
from pathlib import Path
from typing import Any

from models import checkpoints, images
from models.catalog import SHIPPED
from models.evaluation.protocol import Report, Row


def keep(folder: Path, name: str, count: int, report: Report, held_out: bool = False) -> None:
    """Writes what was measured on one set beside what was measured on others, and the card anew. held_out: of the set
    the rest was learned from."""
    metrics = checkpoints.metrics(folder)
    measured = {"pictures": count, "figures": report.figures, "table": report.table}
    measured |= {"held_out": True} if held_out else {}
    metrics.setdefault("sets", {})[name] = measured | ({"more": report.more} if report.more else {})
    checkpoints.replace_file(folder / checkpoints.METRICS, (json.dumps(rounded(metrics), indent=1) + "\n").encode())
    checkpoints.replace_file(folder / checkpoints.SHEET, images.write(images.Picture.of(report.sheet), "png"))
    checkpoints.replace_file(folder / checkpoints.CARD, card(folder, metrics).encode())


def rounded(value: Any) -> Any:
    """Numbers to five digits, all the way down."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


ASKED = {
    "denoise": "denoir denoise noisy.jpg clean.jpg --model {name}",
    "colorize": "denoir colorize grey.jpg colour.jpg --model {name}",
    "sample": "denoir sample drawn.png --model {name} --seed 7 -n 16",
    "reconstruct": "denoir reconstruct picture.png rebuilt.png --model {name}",
    "encode": "denoir encode picture.png --model {name} > code.json",
    "decode": "denoir decode code.json decoded.png --model {name}",
    "interpolate": "denoir interpolate one.png other.png way.png --model {name}",
    "traverse": "denoir traverse row.png --model {name} --seed 7 --directions 3",
}
"""A command for each thing that a model may be asked for."""


def card(folder: Path, metrics: dict[str, Any]) -> str:
    """The model card: what it can be asked for, how it was made and trained, what was measured, in the hub's form. Of
    the training what was written down while it ran, and nothing that recipes say by now.

    Only the weights that ship are known to be under a licence; what others train is theirs to license.
    """
    licence = "license: cc-by-sa-4.0\n" if folder.resolve().is_relative_to(SHIPPED.resolve()) else ""
    described = checkpoints.describe(folder)
    made = {"recipe": described.recipe, "architecture": described.architecture} | described.config
    lines = [
        f"---\n{licence}library_name: denoir\ntags: [image-restoration, autoencoder]\n---",
        f"# {described.title}\n",
        "\n".join(("```bash", *(ASKED[ask].format(name=described.name) for ask in described.asks), "```\n")),
        f"## Network\n\n{listed(made)}\n",
        f"## Training\n\n{listed(described.training)}\n",
        "## Measured\n",
    ]
    for name, measured in metrics.get("sets", {}).items():
        part = "pictures held out from training" if measured.get("held_out") else "pictures"
        lines.append(f"### {name}, {measured['pictures']} {part}\n")
        lines.append(f"`denoir evaluate {described.name} --data {name}`\n")
        lines.append(listed(measured["figures"]))
        lines.append("\n" + as_markdown(measured["table"]) + "\n")
        lines += [f"{title}:\n\n{as_markdown(table)}\n" for title, table in measured.get("more", {}).items()]
    return "\n".join(lines) + "\n![contact sheet](sheet.png)\n"


def listed(values: dict[str, Any]) -> str:
    """A line for each that has a value; what programs read stands as they do."""
    told = {name.replace("_", " "): value for name, value in values.items() if value is not None}
    return "\n".join(f"- {name}: {f'`{value}`' if is_code(value) else shown(value)}" for name, value in told.items())


def is_code(value: Any) -> bool:
    """Whether it is a list, or what a recipe calls a corruption or an objective."""
    return isinstance(value, list) or (isinstance(value, str) and value.endswith(")"))


def as_markdown(table: list[Row]) -> str:
    """A table for the card and the terminal."""
    names = list(table[0])
    rows = [[shown(row[name]) for name in names] for row in table]
    widths = [max(len(cell) for cell in column) for column in zip(names, *rows, strict=True)]
    lines = [names, ["-" * width for width in widths], *rows]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in padded)


def shown(value: Any) -> str:
    """Numbers as people read them."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
