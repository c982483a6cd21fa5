"""What can be wrong with a picture, each as a sentence for whoever sent it.

The sentences name no path, class or library. Every error keeps what it was made of in `args`, so that it crosses
a process border unchanged.
"""

from models.images.formats import ACCEPTED, FORMATS


class PictureError(Exception):
    """A picture that is not taken."""


class EmptyPicture(PictureError):
    """No bytes at all."""

    def __str__(self) -> str:
        return "The picture is empty: it has no bytes."


class UnsupportedFormat(PictureError):
    """Not a picture, or of a format that is not in the table."""

    accepted = ACCEPTED

    def __str__(self) -> str:
        return f"This is not a picture of a format that is accepted. Accepted are {', '.join(self.accepted)}."


class DamagedPicture(PictureError):
    """Cut short, broken, or of a make that the decoder does not know."""

    def __str__(self) -> str:
        return "The picture cannot be decoded: it is damaged, cut short, or of an unusual make."


class AnimatedPicture(PictureError):
    """More than one frame or page."""

    def __str__(self) -> str:
        return "The picture has several frames or pages; only single pictures are accepted."


class PictureTooLarge(PictureError):
    """Over the limit of pixels, or one side over the limit of sides, of what is taken or of the `format` that it was to
    be written in. All in pixels."""

    def __init__(self, width: int, height: int, max_pixels: int, max_side: int = 65_535, format: str = "") -> None:
        super().__init__(width, height, max_pixels, max_side, format)
        self.width, self.height, self.max_pixels, self.max_side = width, height, max_pixels, max_side
        self.format = format

    @property
    def long(self) -> bool:
        """Whether it is a side that is over its limit."""
        return max(self.width, self.height) > self.max_side

    def __str__(self) -> str:
        size = f"The picture is {self.width:,} x {self.height:,} pixels"
        if self.format:
            label = FORMATS[self.format].label
            return f"{size}; in {label} a side has at most {self.max_side:,}. Another format may hold it."
        if self.long:
            return f"{size}; a side may have at most {self.max_side:,}."
        return f"{size}; at most {self.max_pixels:,} pixels in all are accepted."


class UnsupportedDepth(PictureError):
    """Samples that could only be taken by cutting them, which is never done in silence.

    what: a few plain words on the samples, such as "floating point samples".
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"The picture has {self.what}, which cannot be kept yet; 8 bits, and 16 in a PNG or plain TIFF, can."
