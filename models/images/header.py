"""Opening a file as far as its header: the one place where untrusted bytes meet a parser.

A plugin of Pillow is called by name instead of through `Image.open`, so that no other plugin ever sees the bytes and
Pillow's own limit of pixels, which warns at 89 million, does not speak before ours.
"""

import math
import operator
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import cast

from PIL import AvifImagePlugin, ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    EXTRASAMPLES,
    ICCPROFILE,
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
    TiffImageFile,
)
from PIL.WebPImagePlugin import WebPImageFile

from models.images import av1, declared, deep
from models.images.errors import (
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    PictureError,
    PictureTooLarge,
    UnsupportedDepth,
    UnsupportedFormat,
)
from models.images.formats import format_of
from models.images.picture import USUAL, Header, Limits

_DNG_VERSION = 50706

_INKS = 5
"""The photometric interpretation of CMYK."""

_MOST_BOXES = 10_000
"""That are looked at in an ISO media file; libheif takes 1,000 pictures."""

_PNG_END = b"IEND\xaeB`\x82"

_GREY16 = {"I;16", "I;16B", "I;16N", "I;16R", "I;12"}

_SMALLEST_TILE = 16
"""Pixels; TIFF 6.0 has sides of tiles be multiples of it."""

_LARGEST_TILE = 2048**2
"""Pixels of a tile that may be larger than its picture."""


def inspect(data: bytes, limits: Limits = USUAL) -> Header:
    """What the header declares; no pixel is decoded. Raises any `PictureError`."""
    with guarded():
        name = _known(data)
        if name == "webp":  # its plugin makes room for the pixels as soon as it opens
            size, frames = _webp_canvas(data)
            _check(size, frames, limits)
        else:
            size = opened(data, limits).size
        return Header(*size, name)


def opened(data: bytes, limits: Limits) -> ImageFile:
    """The file with its header parsed and found within the limits, its pixels not decoded yet.

    Call it within `guarded`.
    """
    name = _known(data)
    _give_way(limits)
    if name in _FIRST_LOOKS:
        size, frames = _FIRST_LOOKS[name](data)
        _check(size, frames, limits)
    image = _PLUGINS[name](BytesIO(data))
    _check(image.size, 1, limits)  # before the frames: counting those can cost memory
    _check(image.size, 2 if getattr(image, "is_animated", False) else 1, limits)
    if isinstance(image, Jpeg) and image.lacks_data():
        raise DamagedPicture
    return image


def coding_of(image: ImageFile) -> str:
    """Pillow's name of the way that the samples lie in a file not decoded yet, such as "RGB;16B"."""
    args = image.tile[0].args if image.tile else None
    return str(args[0] if isinstance(args, tuple) else args)


@contextmanager
def guarded() -> Iterator[None]:
    """Turns whatever a parser or decoder throws into DamagedPicture, and keeps its remarks off the standard error.

    MemoryError too: a picture within the limits that needs more memory than there is was made to.
    """
    try:
        with _quiet():
            yield
    except PictureError:
        raise
    except Exception as error:
        raise DamagedPicture from error


def _known(data: bytes) -> str:
    if not data:
        raise EmptyPicture
    name = format_of(data)
    if name is None:
        raise UnsupportedFormat
    return name


def _check(size: tuple[int, int], frames: int, limits: Limits) -> None:
    width, height = size
    if not all(isinstance(side, int) and side > 0 for side in size):  # a TIFF may say it in fractions
        raise DamagedPicture
    if width * height > limits.max_pixels or max(size) > limits.max_side:
        raise PictureTooLarge(width, height, limits.max_pixels, limits.max_side)
    if frames > 1:
        raise AnimatedPicture


def _give_way(limits: Limits) -> None:
    """A caller who asks for more pixels than Pillow's own limit gets them; Pillow's limit is never lowered."""
    if Image.MAX_IMAGE_PIXELS is not None and limits.max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limits.max_pixels


def _webp_canvas(data: bytes) -> tuple[tuple[int, int], int]:
    """Size of a WebP and how many frames at least; the container's specification, RFC 9649."""
    found = declared.webp(data)
    if not found:
        raise DamagedPicture
    moving = data[12:16] == b"VP8X" and data[20] & 2
    return (found.width, found.height), 2 if moving else 1


def _tiff_directory(data: bytes) -> tuple[tuple[int, int], int]:
    """Size of a TIFF's first page, before any of its parts is listed. Raises DamagedPicture where it has more parts
    than the size has room for, as each would be, or such large ones that one would take more memory than it all."""
    stream = BytesIO(data)
    tags = ImageFileDirectory_v2(stream.read(16 if data[2] == _BIG else 8))
    place = tags.next
    stream.seek(place)
    tags.load(stream)
    if not _told_whole(data, tags, place):
        raise DamagedPicture
    width, height = tags[IMAGEWIDTH], tags[IMAGELENGTH]
    strips, tiles = len(tags.get(STRIPOFFSETS, ())), len(tags.get(TILEOFFSETS, ()))
    across, down = tags.get(TILEWIDTH, width), tags.get(TILELENGTH, height)
    planes = max(1, tags.get(SAMPLESPERPIXEL, 1))
    if strips > planes * height or (tiles and min(across, down) < _SMALLEST_TILE):
        raise DamagedPicture
    if tiles > planes * -(-width // across) * -(-height // down):
        raise DamagedPicture
    if tiles and across * down > max(_LARGEST_TILE, (width + _SMALLEST_TILE) * (height + _SMALLEST_TILE)):
        raise DamagedPicture
    return (width, height), 1


def _lacks_parts(tags: ImageFileDirectory_v2) -> bool:
    """Whether there are fewer strips or tiles than the size takes. Pillow would leave the rest black."""
    width, height = tags[IMAGEWIDTH], tags[IMAGELENGTH]
    planes = tags.get(SAMPLESPERPIXEL, 1) if tags.get(PLANAR_CONFIGURATION, 1) == 2 else 1
    if TILEOFFSETS in tags:
        across, down = tags[TILEWIDTH], tags[TILELENGTH]
        return len(tags[TILEOFFSETS]) < planes * -(-width // across) * -(-height // down)
    rows = min(tags.get(ROWSPERSTRIP, height), height)
    return rows < 1 or len(tags.get(STRIPOFFSETS, ())) < planes * -(-height // rows)


def _told_whole(data: bytes, tags: ImageFileDirectory_v2, place: int) -> bool:
    """Whether the directory at `place` lies within the file, and with it all that tells how samples lie. What Pillow
    can't find it passes over, and the rest would be taken for another kind of file."""
    big, order = data[2] == _BIG, "<" if tags.prefix == b"II" else ">"
    at, size = place + (8 if big else 2), 20 if big else 12
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, place)
    if at + size * count > len(data):
        return False
    listed = {struct.unpack_from(f"{order}H", data, at + size * number)[0] for number in range(count)}
    return all(tag in tags for tag in listed & _LAYOUT)


_LAYOUT = {
    *(IMAGEWIDTH, IMAGELENGTH, BITSPERSAMPLE, COMPRESSION, PHOTOMETRIC_INTERPRETATION, SAMPLESPERPIXEL, ROWSPERSTRIP),
    *(STRIPOFFSETS, STRIPBYTECOUNTS, TILEWIDTH, TILELENGTH, TILEOFFSETS, TILEBYTECOUNTS, EXTRASAMPLES, SAMPLEFORMAT),
    *(PREDICTOR, PLANAR_CONFIGURATION),
}
"""The tags that tell how samples lie."""

_BIG = 0x2B
"""What tells a TIFF with places of 64 bits."""


def _gif_screen(data: bytes) -> tuple[tuple[int, int], int]:
    """Size of a GIF's screen; a frame that reaches beyond it makes it larger, which is seen when it is opened."""
    return (int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")), 1


def _png(stream: BytesIO) -> ImageFile:
    """A PNG that has pixels, a palette where they need one, and its end; Pillow does not mind if those are missing."""
    if _PNG_END not in stream.getvalue():
        raise DamagedPicture
    image = PngImageFile(stream)
    if not image.tile or (image.mode == "P" and not (image.palette and image.palette.palette)):
        raise DamagedPicture
    return image


class Jpeg(JpegImageFile):
    """A JPEG that says when it has more than 8 bits, or hardly any data."""

    bits = 8

    def _open(self) -> None:
        try:
            super()._open()
        except SyntaxError:
            if self.bits != 8:
                raise UnsupportedDepth(_samples(self.bits, (1,))) from None
            raise

    def lacks_data(self) -> bool:
        """Whether it has fewer bits than its blocks have codes: Pillow would show the rest grey.

        A block has a code for its mean and one for where it ends, of a bit each at least (ITU T.81, F.1.2); one of a
        progressive file may share the second. Arithmetic coding (of frames SOF9 and SOF10) can do with less.
        """
        stream = cast("BytesIO", self.fp)
        head, held = stream.getvalue()[: stream.tell()], 8 * stream.getbuffer().nbytes
        if any(frame in head for frame in _ARITHMETIC):
            return False
        each = 1 if "progressive" in self.info else 2
        _, vertical, horizontal, _ = zip(*self.layer, strict=True)
        rows = [-(-self.height * one // (8 * max(vertical))) for one in vertical]
        columns = [-(-self.width * one // (8 * max(horizontal))) for one in horizontal]
        return held < each * sum(map(operator.mul, rows, columns))


_ARITHMETIC = (b"\xff\xc9", b"\xff\xca")


class Tiff(TiffImageFile):
    """A TIFF that says when it would be cut: Pillow takes the upper 8 bits of many kinds and refuses others."""

    deep = False
    """Whether it is of those that `deep` reads."""

    def _setup(self) -> None:
        if _DNG_VERSION in self.tag_v2:  # a camera's raw file; what would be decoded is its thumbnail
            raise UnsupportedFormat
        if _lacks_parts(self.tag_v2):
            raise DamagedPicture
        bits, kinds = self.tag_v2.get(BITSPERSAMPLE, (1,)), self.tag_v2.get(SAMPLEFORMAT, (1,))
        cut = max(bits) > 8 or set(kinds) != {1}
        if deep.held(self.tag_v2):
            self.deep = True
            self._declare()
            return
        try:
            super()._setup()
        except SyntaxError:
            if cut:
                raise UnsupportedDepth(_samples(max(bits), kinds)) from None
            if self.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == _INKS and EXTRASAMPLES in self.tag_v2:
                raise UnsupportedDepth("inks with transparency") from None
            raise
        if cut and not self._kept_whole():
            raise UnsupportedDepth(_samples(max(bits), kinds))
        if self.tag_v2.get(PLANAR_CONFIGURATION, 1) == 2 and self.mode in ("LA", "La", "PA"):
            raise UnsupportedDepth("transparency in a plane of its own, packed in a way that mixes it up")

    def _declare(self) -> None:
        """What Pillow's own set-up would tell, which does not know all such files."""
        width, height = self.tag_v2[IMAGEWIDTH], self.tag_v2[IMAGELENGTH]
        self._size = (height, width) if self.tag_v2.get(ExifTags.Base.Orientation, 1) >= 5 else (width, height)
        self._mode, self.tile = "RGB", []
        if ICCPROFILE in self.tag_v2:
            self.info["icc_profile"] = self.tag_v2[ICCPROFILE]

    def _kept_whole(self) -> bool:
        """Whether `decoding` gets every bit, as it does of plain grey."""
        return coding_of(self) in _GREY16

    @property
    def white_is_zero(self) -> bool:
        return self.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0

    @property
    def bits(self) -> int:
        return max(self.tag_v2.get(BITSPERSAMPLE, (1,)))


def _samples(bits: int, kinds: tuple[int, ...]) -> str:
    if 3 in kinds:
        return f"floating point samples of {bits} bits, or packed"
    if 2 in kinds:
        return f"signed {bits}-bit samples"
    return f"{bits}-bit samples{' in an unusual arrangement' if bits == 16 else ''}"


def _avif(stream: BytesIO) -> ImageFile:
    """An AVIF of 8 bits and the size that its data have.

    The configuration box of each coded image tells its bits, of which Pillow cuts 10 and 12 in silence.
    """
    data, head = stream.getvalue(), stream.getvalue()[:65_536]
    at = head.find(b"av1C")
    while 0 <= at < len(head) - 6:
        if head[at + 6] & 0x40:
            raise UnsupportedDepth("more than 8 bits a sample")
        at = head.find(b"av1C", at + 4)
    meta, (size, _) = _meta_box(data), _declared_canvas(data)
    coded = av1.sizes(data, meta)
    if coded and size not in coded and not any(made_of_others in meta for made_of_others in (b"grid", b"iovl")):
        raise DamagedPicture
    # Processes run side by side as it is, and the stacks of threads would count against their limit of memory.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return AvifImagePlugin.AvifImageFile(stream)


def _heic(stream: BytesIO) -> ImageFile:
    from models.images.heic import HeicFile  # of a library that may not be there, and is not needed till now

    return HeicFile(stream)


def _declared_canvas(data: bytes) -> tuple[tuple[int, int], int]:
    """Size of the largest picture that an ISO media file declares (ISO/IEC 23008-12, 6.5.3): one made of tiles, or its
    only one."""
    meta, sizes = _meta_box(data), [(1, 1)]
    at = meta.find(b"ispe")
    while 0 <= at <= len(meta) - 16 and len(sizes) < _MOST_BOXES:
        sizes.append(struct.unpack_from(">II", meta, at + 8))
        at = meta.find(b"ispe", at + 4)
    return max(sizes, key=math.prod), 1


def _meta_box(data: bytes) -> bytes:
    """The box that tells what a file holds; of no other, so that coded pixels are not taken for words."""
    at = 0
    for _ in range(_MOST_BOXES):
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        end = at + size if size else len(data)
        if name == b"meta":
            return data[at:end]
        at = max(end, at + 8)
    raise DamagedPicture


_PLUGINS: dict[str, Callable[[BytesIO], ImageFile]] = {
    "png": _png,
    "jpeg": Jpeg,  # not Pillow's factory: of a camera's two-picture JPEG the first is read, the rest never parsed
    "webp": WebPImageFile,
    "bmp": BmpImageFile,
    "tiff": Tiff,
    "gif": GifImageFile,
    "avif": _avif,
    "heic": _heic,
}

_FIRST_LOOKS = {
    "webp": _webp_canvas,
    "tiff": _tiff_directory,
    "gif": _gif_screen,
    "avif": _declared_canvas,
    "heic": _declared_canvas,
}


class _Quiet:
    """Silences Pillow's warnings while anyone reads. `catch_warnings` alone would not survive two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._filters = ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._readers == 0:
                self._filters.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0:
                    self._filters.close()


_quiet = _Quiet()
