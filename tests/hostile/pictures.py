"""Small valid pictures of every make that is accepted; what is hostile begins as one of these."""

import struct
import zlib
from typing import Any

import numpy as np
from files import SRGB, bigtiff, chunk, encoded, exif_with, laid_tiff, noise, png, png16, scene, tiff
from PIL import Image

from models.images import FORMATS

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, and the steps of both, of each pass of an interlaced PNG."""


def grained(mode: str = "RGB") -> Image.Image:
    """A small scene with grain, so that no byte of its file is idle."""
    grain = noise(16, 24, 4) // 4
    image = Image.fromarray((np.asarray(scene()) // 4 * 3 + grain[..., :3]).astype(np.uint8)).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(255 - grain[..., 3]))
    return image


def interlaced(samples: np.ndarray) -> bytes:
    """A PNG of `h w 3` uint8 in Adam7's order."""
    rows = [row.tobytes() for x, y, across, down in ADAM7 for row in samples[y::down, x::across]]
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 8, 2, 0, 0, 1)
    body = zlib.compress(b"".join(b"\0" + row for row in rows if row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


BY_AN_ENCODER: list[tuple[str, str, dict[str, Any]]] = [
    ("png grey", "L", {}),
    ("png bitmap", "1", {}),
    ("png palette", "P", {}),
    ("png keyed palette", "P", {"transparency": bytes([255, 128, 0])}),
    ("png grey alpha", "LA", {}),
    ("png alpha", "RGBA", {}),
    ("png profile exif", "RGB", {"icc_profile": SRGB, "exif": exif_with(6)}),
    ("jpeg baseline", "RGB", {"quality": 90}),
    ("jpeg progressive", "RGB", {"progressive": True}),
    ("jpeg grey restarts", "L", {"restart_marker_blocks": 1}),
    ("jpeg cmyk", "CMYK", {"quality": 90}),
    ("jpeg profile exif", "RGB", {"icc_profile": SRGB, "exif": exif_with(6)}),
    ("webp lossy", "RGB", {"quality": 80}),
    ("webp lossless", "RGBA", {"lossless": True}),
    ("webp profile exif", "RGB", {"icc_profile": SRGB, "exif": exif_with(6)}),
    ("bmp colour", "RGB", {}),
    ("bmp palette", "P", {}),
    ("bmp bitmap", "1", {}),
    ("tiff raw", "RGB", {}),
    ("tiff lzw", "RGB", {"compression": "tiff_lzw"}),
    ("tiff deflate", "RGBA", {"compression": "tiff_adobe_deflate"}),
    ("tiff packbits", "L", {"compression": "packbits"}),
    ("tiff jpeg", "RGB", {"compression": "jpeg"}),
    ("tiff fax", "1", {"compression": "group4"}),
    ("tiff cmyk lzw", "CMYK", {"compression": "tiff_lzw"}),
    ("gif palette", "P", {}),
    ("gif transparent", "P", {"transparency": 25, "interlace": False}),
    ("avif lossy", "RGB", {"quality": 60}),
    ("avif alpha", "RGBA", {"quality": 60}),
    ("heic lossy", "RGB", {"quality": 60}),
    ("heic alpha", "RGBA", {}),
]
"""Name, whose first word is the format; mode; options."""

GREYS = np.random.default_rng(0).random((18, 12, 1), np.float32)

BY_HAND = {
    "png interlaced": interlaced(np.asarray(grained())),
    "png 16 grey": png16(noise(16, 24, 1, dtype=np.uint16)),
    "png 16 alpha": png16(noise(16, 24, 4, dtype=np.uint16)),
    "png 4 bits": png(8, 2, 4, 0, [bytes(range(4)), bytes(4)]),
    "tiff 16 colour": tiff(noise(9, 11, 3, dtype=np.uint16), ">"),
    "tiff big": bigtiff(noise(9, 11, 3)),
    "tiff tiled": laid_tiff(noise(9, 40, 2, dtype=np.uint16), compression=8, tiled=True, differences=True, t338=2),
    "tiff planar": laid_tiff(noise(20, 14, 4), ">", compression=8, planar=True, t338=2),
    "tiff float": laid_tiff(GREYS, compression=8, differences=True, t339=3),
    "tiff double alpha": laid_tiff(np.repeat(GREYS[:5, :7], 4, 2).astype(float), ">", t338=2, t339=3),
    "tiff white at zero": laid_tiff(noise(9, 11, 2), compression=32773, t262=0, t338=2),
}

VALID = BY_HAND | {
    name: encoded(grained(mode), name.split()[0], **options)
    for name, mode, options in BY_AN_ENCODER
    if name.split()[0] in FORMATS
}
"""One picture of each make, by name."""
