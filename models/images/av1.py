"""The size that AV1 data have, wherever an AVIF keeps them (AV1 Bitstream & Decoding Process, 5.5; ISO/IEC 14496-12,
8.11.3). Its boxes may tell another one, to which the decoder scales in silence."""

import struct
from collections.abc import Iterator

Size = tuple[int, int]
"""Width and height in pixels."""

_SEQUENCE_HEADER, _TEMPORAL_DELIMITER = 0x0A, b"\x12\x00"
"""First byte of the unit that begins a sequence; what may stand before it."""

_LOOKED_AT = 64
"""Bytes at the beginning of an item: more than any sequence header has that tells of one operating point."""

_MOST = 10_000


class _Bits:
    """Reads numbers of so many bits. Beyond the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._all, self._left = int.from_bytes(data.ljust(_LOOKED_AT, b"\0"), "big"), 8 * max(len(data), _LOOKED_AT)

    def take(self, count: int) -> int:
        self._left -= count
        return self._all >> self._left & (1 << count) - 1


def sizes(data: bytes, meta: bytes) -> set[Size]:
    """Of all items of a file whose data begin with a sequence header that is simple enough.

    meta: the file's box that tells where its items lie.
    """
    return {size for start in _starts(meta) if (size := _size(data[start : start + _LOOKED_AT]))}


def _size(item: bytes) -> Size | None:
    item = item.removeprefix(_TEMPORAL_DELIMITER)
    if len(item) < 4 or item[0] != _SEQUENCE_HEADER or item[1] & 0x80:
        return None
    bits = _Bits(item[2:])
    bits.take(4)  # profile, still picture
    if bits.take(1):  # reduced header
        bits.take(5)
    elif bits.take(7) or bits.take(12):  # a clock, a delay, several operating points or layers: of films
        return None
    elif bits.take(5) > 7:  # of the higher levels a tier is told
        bits.take(1)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(across) + 1, bits.take(down) + 1


def _starts(meta: bytes) -> Iterator[int]:
    """Where the items' data begin in the file."""
    at = meta.find(b"iloc") + 4
    if at < 4:
        return
    version, lengths, more = meta[at], meta[at + 4], meta[at + 5]
    offset, length, base, index = lengths >> 4, lengths & 15, more >> 4, more & 15 if version else 0
    name = 4 if version == 2 else 2
    fields = _Fields(meta, at + 6)
    for _ in range(min(fields.take(name), _MOST)):
        fields.take(name)
        within = fields.take(2) & 15 if version else 0
        fields.take(2)
        start, extents = fields.take(base), fields.take(2)
        for number in range(min(extents, _MOST)):
            fields.take(index)
            first = fields.take(offset)
            fields.take(length)
            if number == 0 and within == 0:
                yield start + first


class _Fields:
    """Reads whole numbers of so many bytes. Raises struct.error beyond the end."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def take(self, size: int) -> int:
        if self._at + size > len(self._data):
            raise struct.error
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")
