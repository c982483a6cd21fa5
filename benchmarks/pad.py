"""How many pictures a second the pad of Dream gets while the mouse moves over it: `python -m benchmarks.pad`.

A server of the models that ship and the page in Chromium, which share the machine's cores. Answers are counted where
they come, by the browser's own timing of what it fetches. `--at URL` asks a server that runs.
"""

import argparse
import math
import statistics
import time
from typing import Any

from playwright.sync_api import Page

from benchmarks.screenshots import pages
from models.evaluation import as_markdown

TURN = 2.0
"""Seconds in which the mouse goes round the pad once."""
MODELS = """async () => (await (await fetch("/models")).json()).models
    .filter(({ size, asks }) => size && asks.includes("sample") && asks.includes("decode")).map(({ title }) => title)"""
BEGIN = "() => { performance.clearResourceTimings(); performance.setResourceTimingBufferSize(1e5); }"
ANSWERS = """() => performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/decode"))
    .map(({ duration, serverTiming }) => [duration, ...serverTiming.map(({ duration }) => duration)])"""


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each model")
    parser.add_argument("--at", metavar="URL")
    asked = parser.parse_args()
    with pages(asked.at) as page:
        visited = page(1280, 800, "light")
        visited.goto("/")
        rows = [measured(visited, title, asked.seconds) for title in visited.evaluate(MODELS)]
    print(as_markdown(rows))


def measured(page: Page, title: str, seconds: float) -> dict[str, Any]:
    """Answers a second; the median milliseconds of one in all, and of what the service says it spent itself; what the
    pad says that it showed in the last second; moves of the mouse a second."""
    page.goto(f"/#dream?model={title}&seed=7&pick=3")
    page.wait_for_selector("#near .cell")
    page.wait_for_load_state("networkidle")
    box = page.locator("#pad-field").bounding_box()
    assert box
    page.evaluate(BEGIN)
    began, moves = time.monotonic(), 0
    while (gone := time.monotonic() - began) < seconds:
        angle = 2 * math.pi * gone / TURN
        across, down = 0.5 + 0.4 * math.cos(angle), 0.5 + 0.4 * math.sin(angle)
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        moves += 1
    answers, shown = page.evaluate(ANSWERS), page.locator("#pad-rate").inner_text()
    return {
        "model": title,
        "answers a second": len(answers) / seconds,
        "ms each": statistics.median(one[0] for one in answers),
        "ms in the service": statistics.median(sum(one[1:]) for one in answers),
        "shown": shown,
        "moves a second": moves / seconds,
    }


if __name__ == "__main__":
    main()
