"""A decoded picture, what a header declares of one, and how large one may be."""

from dataclasses import dataclass, replace

import numpy as np

Pixels = np.ndarray
"""Samples as they were coded: `h w c`, uint8 or uint16."""


CHANNELS = (1, 3)
"""What a picture may have beside its alpha: grey, or RGB."""

_BAND = 1 << 20
"""Pixels that are computed with at a time."""


@dataclass(frozen=True)
class Limits:
    """How large a picture may be.

    max_pixels: width times height.
    max_side: the longer side, in pixels.
    """

    max_pixels: int = 50_000_000
    max_side: int = 65_535


USUAL = Limits()
"""What is applied where nothing else is asked for."""


@dataclass(frozen=True)
class Header:
    """What a file says of itself before a pixel is decoded.

    width, height: in pixels, as stored: before a camera's orientation is applied, except for TIFF.
    """

    width: int
    height: int
    format: str


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, upright, with what must be kept beside the colours.

    pixels: `h w c`, c is 1 (grey) or 3 (RGB), uint8 or uint16.
    alpha: `h w`, the same dtype, the largest value opaque; None where there is no transparency. Never multiplied in.
    profile: ICC colour profile of the pixels; None where they are plain sRGB or nothing is known.
    format: name in `FORMATS` of the file it came from.

    Raises ValueError where shapes or dtypes disagree.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    profile: bytes | None = None
    format: str = "png"

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if len(shape) != 3 or shape[2] not in CHANNELS or 0 in shape or dtype not in (np.uint8, np.uint16):
            raise ValueError("pixels must be h w c with c of 1 or 3, uint8 or uint16")
        if self.alpha is not None and (self.alpha.shape, self.alpha.dtype) != (shape[:2], dtype):
            raise ValueError("alpha must be h w with the size and dtype of the pixels")

    @classmethod
    def of(cls, samples: Pixels) -> "Picture":
        """From samples `h w c` as networks speak them: grey, RGB, or RGB multiplied by an alpha and that alpha."""
        if samples.shape[2] != 4:
            return cls(samples)
        peak, alpha = np.iinfo(samples.dtype).max, samples[..., 3:]
        colours = np.minimum(samples[..., :3] * np.float32(peak) / np.maximum(alpha, 1), peak).round()
        return cls(colours.astype(samples.dtype), alpha[..., 0].copy())

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def on_white(self) -> Pixels:
        """The pixels as they look on white paper."""
        return self._over(np.iinfo(self.pixels.dtype).max)

    def seen(self, channels: int) -> Pixels:
        """What a network of so many channels is shown: on white paper; one of four, RGB multiplied by alpha, and alpha.

        Multiplied, the colour of what can't be seen is always the same, so that nobody need learn it.
        """
        if channels != 4:
            return self.on_white
        alpha = self.alpha
        if alpha is None:
            alpha = np.full_like(self.pixels[..., 0], np.iinfo(self.pixels.dtype).max)
        return np.concatenate([np.broadcast_to(self._over(0), (*alpha.shape, 3)), alpha[..., None]], 2)

    def repainted(self, other: "Picture") -> "Picture":
        """With another's samples, and what holds for them of what is kept beside: a profile for grey doesn't hold for
        colours, nor the other way round."""
        same = self.pixels.shape[2] == other.pixels.shape[2]
        return replace(self, pixels=other.pixels, alpha=other.alpha, profile=self.profile if same else None)

    def _over(self, paper: int) -> Pixels:
        """The pixels laid over paper of one grey, a band of rows at a time; as they are where all are opaque."""
        if self.alpha is None:
            return self.pixels
        peak, rows = np.float32(np.iinfo(self.pixels.dtype).max), max(1, _BAND // self.width)
        seen = np.empty_like(self.pixels)
        for top in range(0, self.height, rows):
            band = slice(top, top + rows)
            share = self.alpha[band, :, None] / peak
            seen[band] = (share * self.pixels[band] + (1 - share) * paper).round()
        return seen

    @property
    def depth(self) -> int:
        """Bits a sample: 8 or 16."""
        return 8 * self.pixels.dtype.itemsize
