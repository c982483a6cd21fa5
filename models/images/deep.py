"""TIFF where Pillow would cut 16 bits to 8, mix planes up or knows no such numbers: read as grey, which it keeps.

A directory is put behind the file that tells of one grey picture as many times as wide, or of one for each plane where
samples are not interleaved; of floating point numbers, of their bytes. So libtiff unpacks what it can unpack (strips
and tiles, either byte order, LZW, deflate, PackBits), and no other library meets untrusted bytes for the sake of 16
bits: libvips would be 19 MB, imagecodecs 26, and tifffile alone unpacks no LZW.
"""

import struct
from collections.abc import Callable, Iterator, Sequence

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

_FLOATS = {16: "f2", 32: "f4", 64: "f8"}
"""Those numbers by their bits."""

_UNSPECIFIED, _ASSOCIATED, _APART = 0, 1, 2
"""What an extra sample is: anything, alpha that is multiplied into the colours, or alpha that is not."""

_DIFFERENCES, _BYTES = 2, 3
"""The predictors by which each sample, or each byte of a floating point number, is told as its difference from the one
before, in one of these compressions."""
_PREDICTED = {5, 8, 32946, 34925, 50000}

_UNPACKED = {1, 32773} | _PREDICTED
"""Compressions that do with the samples alone, and no tables beside them."""

_PLACES = ((STRIPOFFSETS, TILEOFFSETS), (STRIPBYTECOUNTS, TILEBYTECOUNTS))

Grey = Callable[[bytes], Pixels]
"""The bytes of a grey TIFF -> its samples, `h w 1`."""


def held(tags: ImageFileDirectory_v2) -> bool:
    """Whether a file is of this kind: grey or RGB with at most one extra sample, all of floating point; or of 16 bits,
    or of 8 in planes or with white at zero, where there are several samples."""
    bits, count = set(tags.get(BITSPERSAMPLE, (1,))), tags.get(SAMPLESPERPIXEL, 1)
    kinds = set(tags.get(SAMPLEFORMAT, (1,)))
    colours = _COLOURS.get(tags.get(PHOTOMETRIC_INTERPRETATION, 0), 0)
    known = count in (colours, colours + 1) and len(_extra(tags)) in (count - colours, 0)
    plain = tags.get(COMPRESSION, 1) in _UNPACKED and tags.get(FILLORDER, 1) == 1
    odd = _in_planes(tags) or tags.get(PHOTOMETRIC_INTERPRETATION, 0) == 0
    whole = kinds == {1} and count > 1 and (bits == {16} or (bits == {8} and odd))
    return known and plain and (whole or (_float(tags) and _predictor(tags) in (1, _BYTES)))


def read(data: bytes, tags: ImageFileDirectory_v2, grey: Grey) -> Pixels:
    """Samples `h w c` of a file of this kind, white the largest value; alpha is the last, and not multiplied in.
    Floating point numbers as float32, whatever they mean by white.

    Raises ValueError for a file that is cut short.
    """
    if not _whole(tags, len(data)):
        raise ValueError("samples lie beyond the end of the file")
    count, white_is_zero = tags.get(SAMPLESPERPIXEL, 1), tags.get(PHOTOMETRIC_INTERPRETATION, 0) == 0
    colours = _COLOURS[tags.get(PHOTOMETRIC_INTERPRETATION, 0)]
    samples = _planes(data, tags, grey) if _in_planes(tags) else _share(data, tags, grey, count, (0, 1))
    extra = (_extra(tags) or (_APART,))[0]
    if count > colours and extra == _UNSPECIFIED:
        samples = samples[..., :colours]
    elif count > colours and extra == _ASSOCIATED:
        (_divide_by_alpha if _float(tags) else raster.divide_by_alpha)(samples)
    if white_is_zero and not _float(tags):
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
    planes = [_share(data, tags, grey, 1, (plane, count)) for plane in range(count)]
    return np.concatenate(planes, axis=2)


def _share(data: bytes, tags: ImageFileDirectory_v2, grey: Grey, count: int, share: tuple[int, int]) -> Pixels:
    """So many samples a pixel, one row after another, of a share of the strips or tiles. Their differences are from
    pixel to pixel, so they are summed here."""
    width = tags[IMAGEWIDTH]
    if _float(tags):
        rows = grey(_retold(data, tags, count * tags[BITSPERSAMPLE][0] // 8, 8, share))[..., 0]
        return _numbers(rows, tags, count).reshape(len(rows), -1, count)[:, :width]
    samples = grey(_retold(data, tags, count, tags[BITSPERSAMPLE][0], share)).reshape(-1, width, count)
    if _predictor(tags) == _DIFFERENCES:
        for band in raster.bands(samples):
            for part in _across(band, tags.get(TILEWIDTH, width)):
                np.cumsum(part, axis=1, dtype=part.dtype, out=part)
    return samples


def _across(samples: Pixels, width: int) -> Iterator[Pixels]:
    """The parts of rows that lie in tiles of such a width."""
    return (samples[:, left : left + width] for left in range(0, samples.shape[1], width))


def _numbers(rows: Pixels, tags: ImageFileDirectory_v2, count: int) -> Pixels:
    """The bytes of rows as the floating point numbers that they are, float32. Those told as differences have the
    highest bytes of a row first (Adobe Photoshop TIFF Technical Note 3)."""
    size, order = tags[BITSPERSAMPLE][0] // 8, "<" if tags.prefix == b"II" else ">"
    apart = _predictor(tags) == _BYTES
    kind = np.dtype((">" if apart else order) + _FLOATS[8 * size])
    numbers = np.empty((len(rows), rows.shape[1] // size), np.float32)
    tile = tags.get(TILEWIDTH, tags[IMAGEWIDTH]) * count
    for band, told in zip(raster.bands(rows), np.array_split(numbers, len(raster.bands(rows))), strict=True):
        for part, out in zip(_across(band, tile * size), _across(told, tile), strict=True):
            if apart:
                part = np.cumsum(part.reshape(len(part), -1, count), axis=1, dtype=np.uint8)
                part = part.reshape(len(part), size, -1).swapaxes(1, 2).reshape(len(part), -1)
            with np.errstate(over="ignore"):  # what is infinite is found by who looks for the range
                out[...] = np.ascontiguousarray(part).view(kind)
    return numbers


def _divide_by_alpha(samples: Pixels) -> None:
    """Of floating point numbers; where alpha is 0 there is no colour."""
    for band in raster.bands(samples):
        colours, alpha = band[..., :-1], band[..., -1:]
        np.divide(colours, alpha, out=colours, where=alpha > 0)
        colours[(alpha <= 0)[..., 0]] = 0


def _float(tags: ImageFileDirectory_v2) -> bool:
    bits = set(tags.get(BITSPERSAMPLE, (1,)))
    return set(tags.get(SAMPLEFORMAT, (1,))) == {_FLOAT} and len(bits) == 1 and bits <= _FLOATS.keys()


def _predictor(tags: ImageFileDirectory_v2) -> int:
    """The one that counts: where nothing is packed there is none."""
    return tags.get(PREDICTOR, 1) if tags.get(COMPRESSION, 1) in _PREDICTED else 1


def _retold(data: bytes, tags: ImageFileDirectory_v2, times: int, bits: int, share: tuple[int, int]) -> bytes:
    """The file told as grey of so many bits, so many times as wide; `share` (i, n): of the i-th n-th of its strips or
    tiles alone."""
    place = len(data) + len(data) % 2
    order, magic = ("<", b"II\x2a\x00") if tags.prefix == b"II" else (">", b"MM\x00\x2a")
    head = magic + struct.pack(f"{order}I", place)
    told = ImageFileDirectory_v2(head)
    for tag in (IMAGELENGTH, ROWSPERSTRIP, TILELENGTH, COMPRESSION):
        if tag in tags:
            told[tag] = tags[tag]
    across = tags.get(TILEWIDTH, 1) if _predictor(tags) == _BYTES else 1  # of such a tile no part can be left out
    told[IMAGEWIDTH] = -(-tags[IMAGEWIDTH] // across) * across * times
    if TILEWIDTH in tags:
        told[TILEWIDTH] = tags[TILEWIDTH] * times
    for tag in (STRIPBYTECOUNTS, TILEOFFSETS, TILEBYTECOUNTS):
        if tag in tags:
            told[tag] = _part(tags[tag], *share)
    told[BITSPERSAMPLE], told[SAMPLESPERPIXEL], told[PHOTOMETRIC_INTERPRETATION] = bits, 1, 1
    directory = directory_at(place, told, _part(tags.get(STRIPOFFSETS, ()), *share))
    return b"".join((head, data[len(head) :], b"\0" * (len(data) % 2), directory))


def _part(values: Sequence[int], number: int, parts: int) -> tuple[int, ...]:
    each = len(values) // parts
    return tuple(values[number * each : (number + 1) * each])
