"""What the first bytes of a file declare of its picture's size, by plain arithmetic at known places: enough to say how
long it will take, and never more than that, as whoever decodes it looks for himself (`header`, to which a WebP's frame
says no more than is told here).

Sources: PNG (W3C 2025, 11.2.2), ITU-T T.81 (1992, B.2.2), GIF89a (1990, 18), RFC 9649 (WebP), the headers of Windows
bitmaps, TIFF 6.0 (1992, 2), ISO/IEC 23008-12 (6.5.3, `ispe`).
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from models.images.formats import format_of

_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By PNG's type of colour."""
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of a frame's header."""
_LOOKED_AT = 64
"""Segments of a JPEG, entries of a TIFF's directory and sizes in an ISO media file that are looked at, at most."""
_NEAR = 1 << 16
"""Bytes of an ISO media file that its sizes are looked for in."""
_COLOURS = 3


class Declared(NamedTuple):
    """Width and height in pixels, and bytes of samples for a pixel, by about."""

    width: int
    height: int
    depth: int

    @property
    def samples(self) -> int:
        """Bytes of all samples."""
        return self.width * self.height * self.depth


def declared(data: bytes) -> Declared | None:
    """What a file declares; None where its first bytes don't tell, as of what is damaged or no picture."""
    with suppress(struct.error, IndexError):
        look = _LOOKS.get(format_of(data) or "")
        found = look(data) if look else None
        return found if found and min(found.width, found.height) > 0 else None
    return None


def _png(data: bytes) -> Declared:
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    return Declared(width, height, _CHANNELS.get(colour, _COLOURS) * (2 if bits == 16 else 1))


def _jpeg(data: bytes) -> Declared | None:
    for marker, at in _segments(data):
        if marker in _FRAMES:
            height, width, channels = struct.unpack_from(">HHB", data, at + 3)
            return Declared(width, height, channels)
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers of a JPEG before its first scan, and where their segments begin, behind the marker."""
    at = 2
    for _ in range(_LOOKED_AT):
        while data[at] == data[at + 1] == 0xFF:  # filled up
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xDA:
            return
        yield marker, at + 2
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _gif(data: bytes) -> Declared:
    return Declared(*struct.unpack_from("<HH", data, 6), _COLOURS)


def _bmp(data: bytes) -> Declared:
    old = struct.unpack_from("<I", data, 14)[0] == 12
    width, height, _, bits = struct.unpack_from("<HHHH" if old else "<iiHH", data, 18)
    return Declared(abs(width), abs(height), 4 if bits == 32 else _COLOURS)


def webp(data: bytes) -> Declared | None:
    """Of a WebP, whose sizes may be nothing; None where it is cut off or begins in no way that is known."""
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X" and len(body) == 10:
        width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
        return Declared(width, height, 4 if body[0] & 0x10 else _COLOURS)
    if kind == b"VP8L" and body[:1] == b"\x2f" and len(body) >= 5:
        bits = struct.unpack_from("<I", body, 1)[0]
        return Declared(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), 4 if bits >> 28 & 1 else _COLOURS)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a" and len(body) == 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return Declared(width & 0x3FFF, height & 0x3FFF, _COLOURS)
    return None


def _tiff(data: bytes) -> Declared | None:
    """Of a file with places of 64 bits nothing is told."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"\x2a\x00", b"\x00\x2a"):
        return None
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    told: dict[int, int] = {}
    for entry in range(min(count, _LOOKED_AT)):
        tag, kind, number, value = struct.unpack_from(f"{order}HHII", data, at + 2 + 12 * entry)
        if kind == 3 and number <= 2:  # of 16 bits, at the beginning of the place
            (value,) = struct.unpack_from(f"{order}H", data, at + 10 + 12 * entry)
        elif kind == 3:
            (value,) = struct.unpack_from(f"{order}H", data, value)
        told[tag] = value
    bits = told.get(258, 8)
    return Declared(told.get(256, 0), told.get(257, 0), told.get(277, 1) * (1 if bits <= 8 else 2))


def _boxes(data: bytes) -> Declared | None:
    """The largest of all sizes that are told, as a picture's parts and its thumbnail have theirs."""
    sizes, at = [], data.find(b"ispe", 0, _NEAR)
    while at >= 0 and len(sizes) < _LOOKED_AT:
        sizes.append(struct.unpack_from(">II", data, at + 8))
        at = data.find(b"ispe", at + 4, _NEAR)
    if not sizes:
        return None
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Declared(width, height, _COLOURS)


_LOOKS: dict[str, Callable[[bytes], Declared | None]] = {
    "png": _png,
    "jpeg": _jpeg,
    "gif": _gif,
    "bmp": _bmp,
    "webp": webp,
    "tiff": _tiff,
    "avif": _boxes,
    "heic": _boxes,
}
