"""Picture files, by an encoder or put together by hand."""

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MAKER, EXIF_IFD, GPS_IFD = 274, 271, 34665, 34853


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def scene(mode: str = "RGB") -> Image.Image:
    """A small picture that survives lossy formats, no two quarters alike."""
    image = Image.new("RGB", (24, 16), (200, 40, 40))
    draw = ImageDraw.Draw(image)
    draw.rectangle((12, 0, 23, 7), (40, 180, 60))
    draw.rectangle((0, 8, 11, 15), (50, 60, 210))
    return image.convert(mode)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int, kind: int, rows: Iterable[bytes] = (), before: bytes = b"") -> bytes:
    """A PNG put together by hand. Kind: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + chunk(b"IEND", b"")


def png16(samples: np.ndarray, before: bytes = b"") -> bytes:
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]]
    return png(samples.shape[1], samples.shape[0], 16, kind, (row.astype(">u2").tobytes() for row in samples), before)


def tiff(samples: np.ndarray, end: str = "<", photometric: int | None = None, **more: int) -> bytes:
    """An uncompressed TIFF put together by hand from `h w c`; `more`: tags by number, as in t338=2."""
    height, width, channels = samples.shape
    photometric = (1 if channels < 3 else 2) if photometric is None else photometric
    values = {256: width, 257: height, 259: 1, 262: photometric, 277: channels, 278: height, 279: samples.nbytes}
    values |= {int(name[1:]): value for name, value in more.items()}
    bits = struct.pack(f"{end}{channels}H", *[8 * samples.itemsize] * channels)
    entries = len(values) + 2
    aside = 8 + 2 + 12 * entries + 4
    packed = {tag: struct.pack(f"{end}HHII", tag, 4, 1, value) for tag, value in values.items()}
    packed[258] = struct.pack(f"{end}HHI", 258, 3, channels)
    packed[258] += bits.ljust(4, b"\0") if len(bits) <= 4 else struct.pack(f"{end}I", aside)
    packed[273] = struct.pack(f"{end}HHII", 273, 4, 1, aside + len(bits))
    directory = struct.pack(f"{end}H", entries) + b"".join(packed[tag] for tag in sorted(packed)) + b"\0\0\0\0"
    head = (b"II" if end == "<" else b"MM") + struct.pack(f"{end}HI", 42, 8)
    return head + directory + bits + samples.astype(samples.dtype.newbyteorder(end)).tobytes()


def exif_with(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()
