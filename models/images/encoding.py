"""Picture to bytes: a clean file with nothing of the old one but colours, transparency and colour profile."""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any
from zlib import Z_RLE

import numpy as np
from PIL import Image

from models.images import raster
from models.images.containers import Stream, png16, tiff
from models.images.errors import PictureTooLarge, UnsupportedFormat
from models.images.formats import ANSWERED, WRITTEN, Format
from models.images.picture import Picture, Pixels

_JPEG_EXIF = 65_533
"""Bytes of EXIF that fit into one segment."""

_CLEAR = 255
"""The palette index of a GIF's transparent pixels."""

_ANIMATED = "webp"
"""The one format that is written with several frames."""

_FRAME = 120
"""Milliseconds that a frame is shown."""

_MAX_FRAMES = 1024


AS_IT_CAME = ""
"""Among formats that are wished for: that which the picture came in, or PNG where that one would not hold it."""


def format_for(picture: Picture, wished: Sequence[str] = ()) -> str:
    """The format of an answer: of those wished for, the best first, the one that holds all of the picture; else the
    first, or PNG where the wish, or one of them, was for none in particular."""
    wished = wished or (AS_IT_CAME,)
    named = [name or ANSWERED[picture.format] for name in wished]
    fitting = [name for name in named if _holds(WRITTEN[name], picture)]
    return fitting[0] if fitting else "png" if AS_IT_CAME in wished else named[0]


def check_fits(width: int, height: int, format: str) -> None:
    """Raises PictureTooLarge where a format can't hold the size."""
    side = WRITTEN[format].max_side
    if max(width, height) > side:
        raise PictureTooLarge(width, height, side**2, side, format)


def _holds(form: Format, picture: Picture) -> bool:
    """Whether nothing is lost by the format's kind: neither transparency nor depth, nor any of a side."""
    whole = max(picture.width, picture.height) <= form.max_side
    return whole and (form.alpha or picture.alpha is None) and (form.deep or picture.depth == 8)


def write(picture: Picture, format: str, **options: Any) -> bytes:
    """Encodes a picture as one of `WRITTEN`; the same arguments give the same bytes. Otherwise as `save`."""
    stream = BytesIO()
    save(picture, format, stream, **options)
    return stream.getvalue()


def save(
    picture: Picture,
    format: str,
    stream: Stream,
    *,
    quality: int = 90,
    effort: int | None = None,
    metadata: bytes | None = None,
    frames: int = 1,
) -> None:
    """Encodes a picture as one of `WRITTEN` into a stream, from its beginning.

    quality: 1 to 100 for JPEG, WebP and AVIF; WebP at 100 is lossless.
    effort: 0 (quick) to 9 (small file); left out, what serves a waiting client best. JPEG, BMP and GIF pay it no heed.
    metadata: EXIF from `exif_of`; left out where the format has no place for it (BMP, GIF, or JPEG past 64 kB).
    frames: 1 to 1024 pictures that stand one above another in this one, shown in turn without end; WebP alone.

    The colour profile is kept where the format has a place for it and the file's colours are those it speaks of. Where
    a format holds no alpha the picture is laid over white; where it holds no 16 bits, samples are rounded to 8. GIF
    gets 256 colours at most, and a pixel of it is transparent or not. Of a large picture as `read` gives it, PNG, JPEG
    and TIFF hold no second copy. Raises UnsupportedFormat, PictureTooLarge where the format cannot hold the size, and
    ValueError where quality, effort or frames are out of range.
    """
    if format not in WRITTEN:
        raise UnsupportedFormat
    _check_options(quality, effort)
    form, height = WRITTEN[format], _frame_height(picture, format, frames)
    check_fits(picture.width, picture.height // frames, format)
    if form.deep and (picture.depth == 16 or format == "tiff"):
        samples = raster.stacked(picture.pixels, picture.alpha)
        _CONTAINERS[format](stream, samples, _profile(picture, samples.shape[2]), metadata, effort)
        return
    image = _image(picture, form)
    if format == "jpeg" and metadata and len(metadata) > _JPEG_EXIF:
        metadata = None
    profile = _profile(picture, len(image.getbands()))
    kept = {key: value for key, value in (("icc_profile", profile), ("exif", metadata)) if value}
    first, *others = _cut(image, height)
    shown = {"save_all": True, "append_images": others, "duration": _FRAME, "loop": 0} if others else {}
    first.save(stream, form.label, **_OPTIONS[format](quality, effort), **kept, **shown)


def _check_options(quality: int, effort: int | None) -> None:
    if not 1 <= quality <= 100 or effort not in (None, *range(10)):
        raise ValueError("quality is 1 to 100, effort 0 to 9")


def _frame_height(picture: Picture, format: str, frames: int) -> int:
    """In pixels. Raises ValueError where the picture is no such strip of frames."""
    if frames > 1 and format != _ANIMATED:
        raise ValueError(f"only {_ANIMATED} is written with several frames")
    if not 1 <= frames <= _MAX_FRAMES or picture.height % frames:
        raise ValueError(f"frames are 1 to {_MAX_FRAMES}, all of one height")
    return picture.height // frames


def _cut(strip: Image.Image, height: int) -> list[Image.Image]:
    """The frames of a strip; a picture of that height as it is."""
    if strip.height == height:
        return [strip]
    return [strip.crop((0, top, strip.width, top + height)) for top in range(0, strip.height, height)]


def _png(_: int, effort: int | None) -> dict[str, Any]:
    # Runs alone: on photographs a fifth quicker than level 1 and as small as level 6; on screenshots a bit larger.
    return {"compress_type": Z_RLE} if effort is None else {"compress_level": max(1, effort)}


def _jpeg(quality: int, _: int | None) -> dict[str, Any]:
    return {"quality": quality, "subsampling": "4:4:4"}


def _webp(quality: int, effort: int | None) -> dict[str, Any]:
    effort = 3 if effort is None else effort
    if quality == 100:
        return {"lossless": True, "exact": True, "quality": 0 if effort < 6 else 100, "method": effort * 6 // 9}
    return {"quality": quality, "method": effort * 6 // 9}


def _avif(quality: int, effort: int | None) -> dict[str, Any]:
    return {"quality": quality, "speed": 10 - (effort or 0), "subsampling": "4:4:4", "max_threads": 1}


def _plain(_: int, __: int | None) -> dict[str, Any]:
    return {}


_OPTIONS: dict[str, Callable[[int, int | None], dict[str, Any]]] = {
    "png": _png,
    "jpeg": _jpeg,
    "webp": _webp,
    "avif": _avif,
    "bmp": _plain,
    "gif": _plain,
}

_CONTAINERS = {"png": png16, "tiff": tiff}

_TOIL = {
    "png": (1.2, 1.2, 1.3, 1.5, 2, 2.5, 3.5, 4, 6, 8),
    "tiff": (1.5, 1.5, 1.7, 2, 2.5, 3, 5, 6, 10, 13),
    "webp": (1, 1, 1, 1, 1, 2, 2, 2, 2.5, 6),
    "avif": (1, 1, 3, 5, 9, 45, 55, 100, 160, 230),
}
"""By effort, seconds of it over those of none told: on two photographs, the slower of both. Others pay it no heed."""
_TOIL_LOSSLESS = (1, 1, 2, 3, 3, 5, 150, 150, 270, 1100)
"""The same of WebP at quality 100, over those of none told below."""


def toil(format: str, quality: int = 90, effort: int | None = None) -> float:
    """How many times as long it takes to write a picture in a format as with neither told. Raises ValueError where
    either is out of range."""
    _check_options(quality, effort)
    if format == "webp" and quality == 100:
        return _TOIL_LOSSLESS[3 if effort is None else effort]
    return _TOIL[format][effort] if effort is not None and format in _TOIL else 1.0


def _image(picture: Picture, form: Format) -> Image.Image:
    """The picture in 8 bits, in a mode that the format holds."""
    pixels, alpha = eight(picture.pixels), None if picture.alpha is None else eight(picture.alpha)
    if form.label == "GIF":
        return _indexed(pixels, alpha)
    if alpha is not None and not form.alpha:
        return _over_white(pixels, alpha)
    image = raster.image_of(pixels, alpha)
    return image if form.grey or "R" in image.mode else image.convert("RGB" if alpha is None else "RGBA")


def eight(samples: Pixels) -> Pixels:
    """16 bits rounded to 8, by a table of all there are; 8 bits as they are."""
    return samples if samples.dtype == np.uint8 else ((np.arange(65_536) + 128) // 257).astype(np.uint8)[samples]


def _over_white(pixels: Pixels, alpha: Pixels) -> Image.Image:
    picture = raster.image_of(pixels, None)
    paper = Image.new(picture.mode, picture.size, "white")
    paper.paste(picture, mask=Image.fromarray(alpha))
    return paper


def _indexed(pixels: Pixels, alpha: Pixels | None) -> Image.Image:
    """256 grey levels or colours as a palette; with alpha 255 colours, and the last index for what is let through.

    Colours are chosen by octree, as median cut takes 200 times as long on a noisy picture; greys by median cut.
    """
    picture = raster.image_of(pixels, None)
    if alpha is None and picture.mode == "L":
        return picture
    method = Image.Quantize.MEDIANCUT if picture.mode == "L" else Image.Quantize.FASTOCTREE
    indexed = picture.convert("RGB").quantize(256 if alpha is None else 255, method)
    if alpha is not None:
        indexed.paste(_CLEAR, mask=Image.fromarray(np.where(alpha < 128, np.uint8(255), np.uint8(0))))
        indexed.info["transparency"] = _CLEAR
    return indexed


def _profile(picture: Picture, bands: int) -> bytes | None:
    """The profile, unless it is one for grey and the file has colours, or the other way round."""
    if picture.profile is None:
        return None
    return picture.profile if picture.profile[16:20] == (b"GRAY" if bands < 3 else b"RGB ") else None
