"""Asks whether anything that the container installs has known vulnerabilities: `make audit`.

Where no source of advisories can be reached it says so, and fails nothing: what was not looked at is not called sound.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCKS = ("service.txt", "torch-cpu.txt", "torch-cuda.txt")
SOURCES = ("pypi", "osv")
"""Of advisories, as pip-audit calls them; the second is asked where the first knows nothing."""

Report = list[dict[str, Any]]
"""Of each package its name, and either its version and `vulns` or the reason why it was not looked at."""


def pinned(*texts: str) -> list[str]:
    """The pins of lock files, without hashes and without the name of a build, which no advisory has."""
    return sorted({pin for text in texts for pin in re.findall(r"^[\w.-]+==[\w.]+", text, re.MULTILINE)})


def asked(pins: list[str], source: str) -> Report:
    """What a source says of each; of none, where it can't be reached."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("\n".join(pins))
        options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--service", source]
        command = [sys.executable, "-m", "pip_audit", *options, "--requirement", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        return json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return []


def told(report: Report, pins: list[str]) -> tuple[str, int]:
    """The report for people, and the exit code: 1 where a vulnerability is known."""
    looked_at = [one for one in report if "vulns" in one]
    if not looked_at:
        return f"SKIPPED: no source of advisories can be reached; none of {len(pins)} packages was looked at", 0
    found = [f"{one['name']} {one['version']}: {bad['id']}" for one in looked_at for bad in one["vulns"]]
    skipped = [one["name"] for one in report if "vulns" not in one]
    lines = [f"{len(looked_at)} packages looked at, {len(found)} vulnerabilities known", *found]
    return "\n".join(lines + [f"not looked at: {', '.join(skipped)}"] * bool(skipped)), int(bool(found))


def main() -> int:
    """Asks the sources in turn until one has an answer."""
    pins = pinned(*((HERE / name).read_text() for name in LOCKS))
    reports = (asked(pins, source) for source in SOURCES)
    report = next((one for one in reports if any("vulns" in package for package in one)), [])
    text, code = told(report, pins)
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
