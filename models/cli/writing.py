"""How answers are written: the flags that every verb which writes pictures has."""

import argparse
from typing import Any

from models.arguments import effort, quality


def add_written(one: argparse.ArgumentParser) -> None:
    """How answers are written, as the service has it too."""
    one.add_argument(
        "--quality", type=quality, help="1 to 100, of JPEG, WebP (at 100 without loss) and AVIF (default: 90)"
    )
    one.add_argument(
        "--effort",
        type=effort,
        help="0 is quick, 9 makes a small file, of PNG, WebP, AVIF and TIFF (default: what takes little time)",
    )


def written(asked: argparse.Namespace) -> dict[str, Any]:
    """The same for `images.save`, as far as it is told."""
    told = {name: getattr(asked, name) for name in ("quality", "effort")}
    return {name: value for name, value in told.items() if value is not None}
