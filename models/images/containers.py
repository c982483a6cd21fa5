"""Files that are put together here: PNG of 16 bits a sample, of which Pillow writes grey alone, and TIFF.

PNG by its third specification (W3C, 2025), TIFF by revision 6.0 with Adobe's deflate. Pillow writes no TIFF of 16-bit
colours either, and fails on a compressed one with EXIF.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedWriter, BytesIO
from itertools import accumulate
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ICCPROFILE, STRIPOFFSETS, ImageFileDirectory_v2
from PIL.TiffTags import LONG

from models.images.picture import Pixels

Stream = BytesIO | BufferedWriter
"""What is written to, from its beginning."""

_BAND = 1 << 20
"""Samples that are compressed at a time."""


def png16(stream: Stream, samples: Pixels, profile: bytes | None, metadata: bytes | None, effort: int | None) -> None:
    """Writes a PNG of uint16 samples `h w c`: grey, grey and alpha, RGB or RGBA."""
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    stream.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)))
    if profile:
        stream.write(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    if metadata:
        stream.write(_chunk(b"eXIf", metadata.removeprefix(b"Exif\0\0")))
    for part in _deflated(_filtered(samples), effort):
        stream.write(_chunk(b"IDAT", part))
    stream.write(_chunk(b"IEND", b""))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))


def _filtered(samples: Pixels) -> Iterator[np.ndarray]:
    """PNG's rows in bands, less the mean of their neighbours on the left and above (filter type 3)."""
    pixel, row = samples.shape[2] * 2, samples[0].size * 2
    above = np.zeros((1, row), np.uint8)
    for band in _bands(samples):
        rows = band.astype(">u2", order="C").view(np.uint8).reshape(len(band), row)
        filtered = np.full((len(rows), 1 + row), 3, np.uint8)
        mean = np.concatenate((above, rows[:-1])).astype(np.uint16)
        mean[:, pixel:] += rows[:, :-pixel]
        np.subtract(rows, (mean >> 1).astype(np.uint8), out=filtered[:, 1:])
        above = rows[-1:]
        yield filtered


def _deflated(parts: Iterable[np.ndarray], effort: int | None) -> Iterator[bytes]:
    """One zlib stream. By default runs alone are packed: of photographs the quickest way and, filtered, no larger."""
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE) if effort is None else zlib.compressobj(max(1, effort))
    for part in parts:
        yield packer.compress(part.data)
    yield packer.flush()


def _bands(samples: Pixels) -> Iterator[Pixels]:
    rows = max(1, _BAND // samples[0].size)
    for top in range(0, len(samples), rows):
        yield samples[top : top + rows]


def tiff(stream: Stream, samples: Pixels, profile: bytes | None, metadata: bytes | None, effort: int | None) -> None:
    """Writes a little-endian TIFF of uint8 or uint16 samples `h w c`: grey, grey and alpha, RGB or RGBA, in deflated
    strips, with its directory at the end, so that no strip waits for the next."""
    stream.write(_TIFF_HEAD)
    lengths = [sum(map(stream.write, _deflated([_differences(band)], effort))) for band in _bands(samples)]
    stream.write(b"\0" * (sum(lengths) % 2))  # a directory begins on an even byte
    place = len(_TIFF_HEAD) + sum(lengths) + sum(lengths) % 2
    tags = ImageFileDirectory_v2(_TIFF_HEAD)
    for tag, value in (_noted(metadata) | _layout(samples, lengths)).items():
        tags[tag] = value
    if profile:
        tags[ICCPROFILE] = profile
    stream.write(directory_at(place, tags, tuple(accumulate(lengths[:-1], initial=len(_TIFF_HEAD)))))
    stream.seek(4)
    stream.write(struct.pack("<I", place))


_TIFF_HEAD = b"II\x2a\x00\x08\x00\x00\x00"


def directory_at(place: int, tags: ImageFileDirectory_v2, offsets: Sequence[int]) -> bytes:
    """A directory that will stand at `place`, of strips that are at `offsets`; Pillow knows them behind it alone."""
    if not offsets:
        return tags.tobytes(place)
    order = "<" if tags.prefix == b"II" else ">"
    tags[STRIPOFFSETS] = (0,) * len(offsets)
    tags.tagtype[STRIPOFFSETS] = LONG
    packed = tags.tobytes(place)
    at = packed.index(struct.pack(f"{order}HHI", STRIPOFFSETS, LONG, len(offsets))) + 8
    if len(offsets) > 1:  # what stands there is where they are told
        at = struct.unpack_from(f"{order}I", packed, at)[0] - place
    told = struct.pack(f"{order}{len(offsets)}I", *offsets)
    return packed[:at] + told + packed[at + len(told) :]


def _differences(band: Pixels) -> Pixels:
    """Each sample less its left neighbour (predictor 2)."""
    band = band.astype(band.dtype.newbyteorder("<"), order="C")
    band[:, 1:] -= band[:, :-1].copy()
    return band


def _layout(samples: Pixels, lengths: list[int]) -> dict[int, Any]:
    """The tags that tell how the samples lie in the file, but for the strips' places."""
    height, width, channels = samples.shape
    tags: dict[int, Any] = {
        256: width,
        257: height,
        258: (8 * samples.itemsize,) * channels,
        259: 8,  # deflate
        262: 1 if channels < 3 else 2,
        277: channels,
        278: len(next(_bands(samples))),
        279: tuple(lengths),
        317: 2,
    }
    return tags if channels in (1, 3) else tags | {338: 2}  # alpha, not multiplied in


def _noted(metadata: bytes | None) -> dict[int, Any]:
    """The tags of an EXIF block, those of its two nested directories as dictionaries."""
    exif = Image.Exif()
    if metadata:
        exif.load(metadata)
    nested = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
    noted = {tag: exif.get_ifd(tag) if tag in nested else exif[tag] for tag in list(exif)}
    noted.get(ExifTags.IFD.Exif, {}).pop(ExifTags.IFD.Interop, None)  # a place in the old file
    return noted
