"""Bytes to picture: every mode a file can have, to grey or RGB with alpha apart and its bits kept."""

import math
from io import BytesIO
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image, ImageCms
from PIL.ImageFile import ImageFile

from models.images import deep, raster
from models.images.errors import DamagedPicture, UnsupportedDepth
from models.images.exif import orientation_of
from models.images.header import Tiff, coding_of, guarded, opened
from models.images.picture import USUAL, Limits, Picture, Pixels

if TYPE_CHECKING:
    from models.images.heic import HeicFile

# What Pillow's modes become; the others are taken as they are.
_BECOMES = {
    "1": "L",
    "La": "LA",
    "PA": "RGBA",
    "RGBX": "RGB",
    "RGBa": "RGBA",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
}
_DTYPES: dict[str, type] = dict.fromkeys(("L", "LA", "RGB", "RGBA"), np.uint8)
_DTYPES |= dict.fromkeys(("I;16", "I;16B"), np.uint16)

# Grey of 2 and 4 bits is widened to 8 by Pillow, but the grey that a PNG names as transparent is not.
_WIDENED = {"L;2": 85, "L;4": 17}

_BAND = 1 << 20
"""Pixels that are copied at a time."""

_WIDEST = 32
"""Bytes of a pixel, as many times as wide as it a TIFF may be told: four floating point numbers of 64 bits."""

_LARGEST_PROFILE = 4 << 20
"""Bytes; those of printers, with large tables, have 2 or 3 million."""


def read(data: bytes, limits: Limits = USUAL) -> Picture:
    """Decodes one picture, strictly: a file cut short is damaged.

    A camera's orientation is applied, transparency kept apart, 8 and 16 bits kept as they are (12-bit grey TIFF, and
    HEIC of 10 and 12 bits, are widened to 16; floating point numbers, which must be finite, become 16 bits). Bitmaps
    become grey, palettes grey or RGB by their colours; CMYK, YCbCr and LAB become RGB, CMYK by its own colour profile.
    Raises any `PictureError`.
    """
    with guarded():
        image = opened(data, limits)
        name, coded = str(image.format).lower(), coding_of(image)
        if isinstance(image, Tiff) and image.deep:
            wide = Limits(_WIDEST * limits.max_pixels, _WIDEST * limits.max_side)
            samples = deep.read(data, image.tag_v2, lambda told: _samples(opened(told, wide)))
        elif name == "heic":
            samples = cast("HeicFile", image).samples()
        elif coded in ("RGB;16B", "RGBA;16B"):
            samples = _with_lower_bytes(_array(opened(data, limits)), image, coded)
        elif coded == "LA;16B":
            samples = _grey_and_alpha(image)
        else:
            samples = _samples(image)
        if coded.startswith("I;1"):
            samples = _whole_range(samples, image)
        if samples.dtype == np.float32:
            samples = _from_numbers(samples, getattr(image, "white_is_zero", False))
        return _picture(samples, image, name, coded)


def _recoded(image: ImageFile, coding: str) -> ImageFile:
    """The same file, to be decoded as if its samples lay otherwise."""
    image.tile = [
        tile._replace(args=(coding, *tile.args[1:]) if isinstance(tile.args, tuple) else coding) for tile in image.tile
    ]
    return image


def _with_lower_bytes(upper: Pixels, image: ImageFile, coded: str) -> Pixels:
    """A PNG's 16-bit colours whole. Pillow takes each sample's upper byte; told the other byte order, the lower one."""
    samples = upper.astype(np.uint16)
    samples <<= 8
    samples |= _array(_recoded(image, coded[:-1] + "L"))
    return samples


def _grey_and_alpha(image: ImageFile) -> Pixels:
    """16-bit grey with alpha has four bytes a pixel, which Pillow gives untouched if told that they are RGBA."""
    return _array(_recoded(image, "RGBA")).view(">u2").astype(np.uint16)


def _whole_range(samples: Pixels, image: ImageFile) -> Pixels:
    """16-bit grey with white at 65,535: Pillow leaves 12-bit samples at 4,095, and white where a TIFF has it at 0."""
    if getattr(image, "bits", 16) == 12:
        samples = samples << 4 | samples >> 8
    return ~samples if getattr(image, "white_is_zero", False) else samples


def _from_numbers(samples: Pixels, white_is_zero: bool) -> Pixels:
    """Floating point numbers `h w c` as 16 bits. Raises DamagedPicture where one is not finite."""
    count = 1 if samples.shape[2] < 3 else 3
    colours, alpha = _sixteen_bits(samples[..., :count]), samples[..., count:]
    if white_is_zero:
        colours = ~colours
    if not alpha.size:
        return colours
    if alpha.min() < 0 or alpha.max() > 1:
        raise UnsupportedDepth("transparency that is not between 0 and 1")
    return np.concatenate([colours, _sixteen_bits(alpha)], axis=2)


def _sixteen_bits(samples: Pixels) -> Pixels:
    """Floating point numbers as 16 bits: black is 0 and white 1 where all lie between; else the least and the greatest
    are, as no file says what it means by them. Raises DamagedPicture where one is not finite."""
    least, greatest = float(samples.min()), float(samples.max())  # NaN, where there is one
    if not math.isfinite(greatest - least):
        raise DamagedPicture
    black, white = (0.0, 1.0) if least >= 0 and greatest <= 1 else (least, greatest)
    scale, deep = 65_535 / ((white - black) or 1), np.empty(samples.shape, np.uint16)
    for rows, band in zip(raster.bands(samples), raster.bands(deep), strict=True):
        np.rint((rows - np.float64(black)) * scale, out=band, casting="unsafe")
    return deep


def _samples(image: ImageFile) -> Pixels:
    samples = raster.decoded(image)
    return _array(_converted(image)) if samples is None else samples


def _array(image: Image.Image) -> Pixels:
    """Samples as `h w bands`, copied in bands of rows, so that Pillow's own copies of them stay small."""
    image.load()
    if image.mode not in _DTYPES:
        raise UnsupportedDepth("samples of more than 16 bits")
    width, height = image.size
    samples = np.empty((height, width, len(image.getbands())), _DTYPES[image.mode])
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        band = samples[top : top + rows]
        band[...] = np.asarray(image.crop((0, top, width, top + len(band)))).reshape(band.shape)
    return samples


def _converted(image: ImageFile) -> Image.Image:
    image.load()
    if image.mode == "CMYK":
        return _from_cmyk(image)
    if image.mode == "P":
        return image.convert(_palette_mode(image))
    return image.convert(_BECOMES[image.mode]) if image.mode in _BECOMES else image


def _palette_mode(image: Image.Image) -> str:
    """What holds the colours of a palette: grey where all of them are."""
    palette = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    grey = (palette == palette[:, :1]).all()
    return ("L" if grey else "RGB") + ("A" if "transparency" in image.info else "")


def _from_cmyk(image: Image.Image) -> Image.Image:
    """To sRGB by the picture's own profile, keeping black black; by plain arithmetic where there is none."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        target, intent = ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        converted = ImageCms.profileToProfile(image, source, target, intent, outputMode="RGB", flags=flags)
        return converted or image.convert("RGB")
    except (KeyError, TypeError, OSError, ImageCms.PyCMSError):
        return image.convert("RGB")


def _picture(samples: Pixels, image: ImageFile, name: str, coded: str) -> Picture:
    key = image.info.get("transparency") if image.mode in ("1", "L", "I;16", "RGB") else None
    samples = _upright(samples, orientation_of(image))
    colours = 1 if samples.shape[2] < 3 else 3
    alpha = None
    if colours < samples.shape[2]:
        samples, alpha = samples[..., :colours], samples[..., colours]
    elif key is not None:
        alpha = _keyed(samples, np.atleast_1d(key) * _WIDENED.get(coded, 1))
    return Picture(samples, alpha, _profile(image, colours), name)


def _upright(samples: Pixels, orientation: int) -> Pixels:
    """Turned and mirrored as EXIF says: 5 to 8 change rows for columns; then the two mirrorings."""
    if orientation == 1:
        return samples
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    down = -1 if orientation in (3, 4, 7, 8) else 1
    across = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(samples[::down, ::across])


def _keyed(samples: Pixels, key: np.ndarray) -> Pixels:
    """Alpha of a picture that names one of its colours as transparent."""
    alpha = np.full(samples.shape[:2], np.iinfo(samples.dtype).max, samples.dtype)
    alpha[(samples == key).all(axis=-1)] = 0
    return alpha


def _profile(image: Image.Image, colours: int) -> bytes | None:
    """The colour profile, where it is a sane one for what the pixels have become."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) > _LARGEST_PROFILE or image.mode in ("CMYK", "LAB"):
        return None
    return profile if profile[16:20] == {1: b"GRAY", 3: b"RGB "}[colours] else None
