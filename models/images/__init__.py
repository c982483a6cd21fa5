"""Bytes to picture and back, and nothing more: numpy and Pillow alone, so that processes which decode start light.

`inspect` reads a header, `read` decodes, `write` and `save` make a clean re-encoding, `exif_of` keeps what a camera
noted for those who may see it. What is wrong with a picture is told by a `PictureError`.
"""

from models.images.decoding import read
from models.images.encoding import AS_IT_CAME, check_fits, eight, format_for, save, toil, write
from models.images.errors import (
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    PictureError,
    PictureTooLarge,
    UnsupportedDepth,
    UnsupportedFormat,
)
from models.images.exif import exif_of
from models.images.formats import ACCEPTED, ANSWERED, FORMATS, WRITTEN, Format, format_of
from models.images.header import inspect
from models.images.picture import USUAL, Header, Limits, Picture, Pixels

__all__ = [
    "ACCEPTED",
    "ANSWERED",
    "AS_IT_CAME",
    "FORMATS",
    "USUAL",
    "WRITTEN",
    "AnimatedPicture",
    "DamagedPicture",
    "EmptyPicture",
    "Format",
    "Header",
    "Limits",
    "Picture",
    "PictureError",
    "PictureTooLarge",
    "Pixels",
    "UnsupportedDepth",
    "UnsupportedFormat",
    "check_fits",
    "eight",
    "exif_of",
    "format_for",
    "format_of",
    "inspect",
    "read",
    "save",
    "toil",
    "write",
]
