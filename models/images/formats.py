"""The formats that are read and written, and how each is known by its first bytes."""

import struct
from dataclasses import dataclass
from importlib.util import find_spec

from PIL import features


@dataclass(frozen=True)
class Format:
    """One file format, as we use it.

    label: its name for people.
    suffixes: of its files, the usual one first.
    alpha: whether it holds transparency (GIF: opaque or not, nothing between).
    deep: whether it holds 16 bits a sample.
    grey: whether it holds grey as such; else it is written as RGB.
    lossy: whether it may change colours; of WebP, below quality 100.
    max_side: the longest side, in pixels, that can be written.
    written: whether it is written at all, and not only read.
    """

    label: str
    media_type: str
    suffixes: tuple[str, ...]
    alpha: bool = False
    deep: bool = False
    grey: bool = True
    lossy: bool = False
    max_side: int = 65_535
    written: bool = True


_ALL = {
    "png": Format("PNG", "image/png", (".png",), alpha=True, deep=True),
    "jpeg": Format("JPEG", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), lossy=True, max_side=65_500),
    "webp": Format("WebP", "image/webp", (".webp",), alpha=True, grey=False, lossy=True, max_side=16_383),
    "bmp": Format("BMP", "image/bmp", (".bmp",)),
    "tiff": Format("TIFF", "image/tiff", (".tif", ".tiff"), alpha=True, deep=True),
    "gif": Format("GIF", "image/gif", (".gif",), alpha=True, lossy=True),
    "avif": Format("AVIF", "image/avif", (".avif",), alpha=True, grey=False, lossy=True, max_side=32_768),
    "heic": Format(
        "HEIC", "image/heic", (".heic", ".heif"), alpha=True, deep=True, grey=False, lossy=True, written=False
    ),
}

_THERE = {"avif": features.check("avif"), "heic": find_spec("pillow_heif") is not None}

FORMATS = {name: form for name, form in _ALL.items() if _THERE.get(name, True)}
"""What is read, by our names: AVIF where the image library was built with it, HEIC where pillow-heif is installed.

HEIC is only read: the encoder in pillow-heif's wheels, x265, is under the GPL.
"""

WRITTEN = {name: form for name, form in FORMATS.items() if form.written}
"""What is written."""

ANSWERED = {name: name if form.written else "png" for name, form in FORMATS.items()}
"""The format of an answer where none is asked for, by the one that came: of HEIC PNG, which loses nothing."""

ACCEPTED = tuple(form.label for form in FORMATS.values())
"""What is read, for people, as messages list it."""

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II\x2a\x00": "tiff",
    b"MM\x00\x2a": "tiff",
    b"II\x2b\x00": "tiff",
}

_HEIC = {b"heic", b"heix", b"heim", b"heis"}
"""Brands of single pictures coded as HEVC: of 8 bits, of more, and in layers (ISO/IEC 23008-12, annex B)."""

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def format_of(data: bytes) -> str | None:
    """The name in `FORMATS` that the first bytes of a file tell; None where it is none of ours."""
    name = next((name for magic, name in _MAGIC.items() if data.startswith(magic)), None) or _container(data)
    return name if name in FORMATS else None


def _container(data: bytes) -> str | None:
    """Formats whose first bytes alone do not tell."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        brands = _brands(data)
        return "avif" if b"avif" in brands else "heic" if _HEIC.intersection(brands) else None
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    return None


def _brands(data: bytes) -> list[bytes]:
    """The brands that an ISO media file claims; HEIC shares the container and many of the brands, but not `avif`."""
    end = min(struct.unpack(">I", data[:4])[0], 128)
    return [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
