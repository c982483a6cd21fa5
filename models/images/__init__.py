"""Bytes to picture and back, and nothing more: numpy and Pillow alone, so that processes which decode start light.

`inspect` reads a header, `read` decodes, `write` makes a clean re-encoding, `exif_of` keeps what a camera noted for
those who may see it. What is wrong with a picture is told by a `PictureError`.
"""

from models.images.decoding import read
from models.images.encoding import write
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
from models.images.formats import ACCEPTED, FORMATS, Format, format_of
from models.images.header import inspect
from models.images.picture import Header, Limits, Picture, Pixels

__all__ = [
    "ACCEPTED",
    "FORMATS",
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
    "exif_of",
    "format_of",
    "inspect",
    "read",
    "write",
]
