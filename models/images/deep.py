"""TIFF of several samples a pixel where Pillow would cut 16 bits to 8, or mix planes up: read as grey, which it keeps.

A directory is put behind the file that tells of one grey picture as many times as wide, or of one for each plane where
samples are not interleaved. So libtiff unpacks what it can unpack (strips and tiles, either byte order, LZW, deflate,
PackBits), and no other library meets untrusted bytes for the sake of 16 bits: libvips would be 19 MB, imagecodecs 26,
and tifffile alone unpacks no LZW.
"""

import struct
from collections.abc import Callable, Sequence

import numpy as np
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    EXTRASAMPLES,
    FILLORDER,
    IMAGELENGTH,
    IMAGEWIDTH,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    PREDICTOR,
    ROWSPERSTRIP,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    TILEBYTECOUNTS,
    TILELENGTH,
    TILEOFFSETS,
    TILEWIDTH,
    ImageFileDirectory_v2,
)

from models.images import raster
from models.images.containers import directory_at
from models.images.picture import Pixels

_COLOURS = {0: 1, 1: 1, 2: 3}
"""Samples of a pixel by photometric interpretation, alpha aside."""

_FLOAT = 3
"""The sample format of floating point numbers."""

_DTYPES = {8: np.uint8, 16: np.uint16, 32: np.float32}

_UNSPECIFIED, _ASSOCIATED, _APART = 0, 1, 2
"""What an extra sample is: anything, alpha that is multiplied into the colours, or alpha that is not."""

_DIFFERENCES = 2
"""The predictor by which each sample is told as its difference from the one before, in one of these compressions."""
_PREDICTED = {5, 8, 32946, 34925, 50000}

_UNPACKED = {1, 32773} | _PREDICTED
"""Compressions that do with the samples alone, and no tables beside them."""

_PLACES = ((STRIPOFFSETS, TILEOFFSETS), (STRIPBYTECOUNTS, TILEBYTECOUNTS))

Grey = Callable[[bytes], Pixels]
"""The bytes of a grey TIFF -> its samples, `h w 1`."""


def held(tags: ImageFileDirectory_v2) -> bool:
    """Whether a file is of this kind: grey with an extra sample, or RGB with at most one, all of 16 bits, or in planes
    of 8; or RGB of floating point numbers, not told as differences."""
    bits, count = set(tags.get(BITSPERSAMPLE, (1,))), tags.get(SAMPLESPERPIXEL, 1)
    kinds = set(tags.get(SAMPLEFORMAT, (1,)))
    colours = _COLOURS.get(tags.get(PHOTOMETRIC_INTERPRETATION, 0), 0)
    several = count in (colours, colours + 1) and count > 1 and len(_extra(tags)) in (count - colours, 0)
    plain = tags.get(COMPRESSION, 1) in _UNPACKED and tags.get(FILLORDER, 1) == 1
    whole = kinds == {1} and (bits == {16} or (bits == {8} and _in_planes(tags)))
    floats = (kinds, bits) == ({_FLOAT}, {32}) and count == colours and tags.get(PREDICTOR, 1) == 1
    return several and plain and (whole or floats)


def read(data: bytes, tags: ImageFileDirectory_v2, grey: Grey) -> Pixels:
    """Samples `h w c` of a file of this kind, white the largest value; alpha is the last, and not multiplied in.
    Floating point numbers as they are.

    Raises ValueError for a file that is cut short.
    """
    if not _whole(tags, len(data)):
        raise ValueError("samples lie beyond the end of the file")
    count, white_is_zero = tags[SAMPLESPERPIXEL], tags.get(PHOTOMETRIC_INTERPRETATION, 0) == 0
    colours = _COLOURS[tags.get(PHOTOMETRIC_INTERPRETATION, 0)]
    samples = _planes(data, tags, grey) if _in_planes(tags) else _interleaved(data, tags, grey)
    extra = (_extra(tags) or (_APART,))[0]
    if count > colours and extra == _UNSPECIFIED:
        samples = samples[..., :colours]
    elif count > colours and extra == _ASSOCIATED:
        raster.divide_by_alpha(samples)
    if white_is_zero:
        np.invert(samples[..., :colours], out=samples[..., :colours])
    return samples


def _whole(tags: ImageFileDirectory_v2, size: int) -> bool:
    """Whether all that is coded lies within the file: what is put behind it would else be taken for the rest."""
    starts, lengths = (tags.get(one, tags.get(other, ())) for one, other in _PLACES)
    return all(start + length <= size for start, length in zip(starts, lengths, strict=False))


def _extra(tags: ImageFileDirectory_v2) -> tuple[int, ...]:
    return tags.get(EXTRASAMPLES, ())


def _in_planes(tags: ImageFileDirectory_v2) -> bool:
    return tags.get(PLANAR_CONFIGURATION, 1) == 2


def _planes(data: bytes, tags: ImageFileDirectory_v2, grey: Grey) -> Pixels:
    """Each sample from a plane of its own."""
    count = tags[SAMPLESPERPIXEL]
    samples = np.empty((tags[IMAGELENGTH], tags[IMAGEWIDTH], count), _DTYPES[tags[BITSPERSAMPLE][0]])
    for plane in range(count):
        samples[..., plane : plane + 1] = grey(_retold(data, tags, 1, tags.get(PREDICTOR, 1), (plane, count)))
    return samples


def _interleaved(data: bytes, tags: ImageFileDirectory_v2, grey: Grey) -> Pixels:
    """The samples of one wide row after another. Their differences are from pixel to pixel, so they are summed here."""
    count, width = tags[SAMPLESPERPIXEL], tags[IMAGEWIDTH]
    samples = grey(_retold(data, tags, count, 1, (0, 1))).reshape(-1, width, count)
    if tags.get(PREDICTOR, 1) == _DIFFERENCES and tags.get(COMPRESSION, 1) in _PREDICTED:
        across = tags.get(TILEWIDTH, width)
        for band in raster.bands(samples):
            for left in range(0, width, across):
                part = band[:, left : left + across]
                np.cumsum(part, axis=1, dtype=np.uint16, out=part)
    return samples


def _retold(data: bytes, tags: ImageFileDirectory_v2, times: int, predictor: int, share: tuple[int, int]) -> bytes:
    """The file told as grey, so many times as wide; `share` (i, n): of the i-th n-th of its strips or tiles alone."""
    place = len(data) + len(data) % 2
    order, magic = ("<", b"II\x2a\x00") if tags.prefix == b"II" else (">", b"MM\x00\x2a")
    head = magic + struct.pack(f"{order}I", place)
    told = ImageFileDirectory_v2(head)
    for tag in (IMAGELENGTH, ROWSPERSTRIP, TILELENGTH, COMPRESSION):
        if tag in tags:
            told[tag] = tags[tag]
    for tag in (IMAGEWIDTH, TILEWIDTH):
        if tag in tags:
            told[tag] = tags[tag] * times
    for tag in (STRIPBYTECOUNTS, TILEOFFSETS, TILEBYTECOUNTS):
        if tag in tags:
            told[tag] = _part(tags[tag], *share)
    told[BITSPERSAMPLE], told[SAMPLESPERPIXEL] = tags[BITSPERSAMPLE][0], 1
    told[SAMPLEFORMAT] = tags.get(SAMPLEFORMAT, (1,))[0]
    told[PHOTOMETRIC_INTERPRETATION], told[PREDICTOR] = 1, predictor
    directory = directory_at(place, told, _part(tags.get(STRIPOFFSETS, ()), *share))
    return b"".join((head, data[len(head) :], b"\0" * (len(data) % 2), directory))


def _part(values: Sequence[int], number: int, parts: int) -> tuple[int, ...]:
    each = len(values) // parts
    return tuple(values[number * each : (number + 1) * each])
