"""Pins and hashes what the container installs: `make lock`.

Three files: what the service needs, shared by both images, and torch for CPUs and for GPUs with what each brings along.
PyTorch's build for CPUs must be where pip looks (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS).
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CPU, CUDA = "torch==2.13.0+cpu", "torch==2.15.0"
LEFT_OUT = {"openvino-telemetry"}
"""What nothing here calls, and what would reach for the network if it were called."""
QUIET = ["--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]


def resolved(torch: str) -> dict[str, str]:
    """Every package that the project needs with that torch, its lines in a requirements file by its name."""
    with tempfile.TemporaryDirectory() as folder:
        constraint, out = Path(folder, "constraint.txt"), Path(folder, "out.txt")
        constraint.write_text(torch + "\n")
        options = [
            *QUIET,
            "--generate-hashes",
            "--strip-extras",
            "--allow-unsafe",
            "-c",
            str(constraint),
            "-o",
            str(out),
        ]
        subprocess.run(
            [sys.executable, "-m", "piptools", "compile", *options, "pyproject.toml"], check=True, cwd=HERE.parent
        )
        blocks = re.findall(r"^(?:[a-z].*\n)(?:    --hash.*\n?)*", out.read_text(), re.MULTILINE)
    packages = {block.partition("==")[0]: block.rstrip("\n \\") + "\n" for block in blocks}
    return {name: block for name, block in packages.items() if name not in LEFT_OUT}


def write(name: str, what: str, packages: dict[str, str]) -> None:
    """One lock file."""
    text = "".join(packages[package] for package in sorted(packages))
    (HERE / name).write_text(f"# {what} Written by `make lock`.\n{text}")


def main() -> None:
    """Writes all three."""
    cpu, cuda = resolved(CPU), resolved(CUDA)
    shared = {name: block for name, block in cpu.items() if name != "torch"}
    write("service.txt", "What the service needs beside torch, pinned and hashed.", shared)
    write("torch-cpu.txt", "PyTorch's build for CPUs, pinned and hashed.", {"torch": cpu["torch"]})
    beside = {name: block for name, block in cuda.items() if name not in shared}
    write("torch-cuda.txt", "PyTorch for NVIDIA GPUs with what it needs, pinned and hashed.", beside)


if __name__ == "__main__":
    main()
