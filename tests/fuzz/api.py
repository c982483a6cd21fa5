"""schemathesis at a real server, from what it tells of itself: `make fuzz-api`. It must find nothing.

Small models under the names that the API asks for by default, so that most of what is asked has an answer.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import TINY, stocked
from serving import Server, started

from models.colorizer import ColorizerConfig

ROOT = Path(__file__).parents[2]
DEFAULTS = {
    "photo": TINY["tiny-photo"],
    "digits-vae": TINY["tiny-vae"],
    "colorize": ("colorize", ColorizerConfig(side=32, widths=(4, 8), bins=5)),
}
CONFIG = Path(__file__).with_name("schemathesis.toml")
COMMAND = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]


def found(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    """What schemathesis has to say; its exit code is not 0 where it found anything."""
    surroundings = {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    told = ["--config-file", str(CONFIG), "--no-color", "run", f"{server.url}/openapi.json"]
    command = [*COMMAND, *told, "--warnings", "off", *options]
    return subprocess.run(command, cwd=ROOT, env=os.environ | surroundings, capture_output=True, text=True)


def main() -> int:
    """Prints what it found."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=int, default=120)
    seconds = asked.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, started(stocked(Path(folder), DEFAULTS)) as server:
        told = found(server, "--max-time", str(seconds), "--continue-on-failure")
    print(told.stdout, told.stderr, sep="\n")
    return told.returncode


if __name__ == "__main__":
    sys.exit(main())
