"""Asking a session: pixels in, pixels out. Pictures of any size are cut into tiles or fitted into the network's size,
codes come in batches; both the service and the command line ask through these.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from models import colour, letterbox, restore
from models.letterbox import Placement
from models.restore import Tiling, Window
from models.sessions import Session
from models.tasks import DECODE_BATCH
from models.types import Needs, Pixels


class NotFinite(ArithmeticError):
    """A network gave a value that is not finite; it is told, never hidden by a clamp."""

    def __init__(self) -> None:
        super().__init__("the network gave a value that is not finite")


class WrongSize(ValueError):
    """The network takes pictures of one size alone, and this is another."""

    def __init__(self, needed: tuple[int, int], given: tuple[int, int]):
        super().__init__(f"this model takes {needed[1]}x{needed[0]} pixels, and the picture has {given[1]}x{given[0]}")
        self.needed, self.given = needed, given


def tiling_for(needs: Needs, tile: int = restore.TILE, buckets: tuple[int, ...] = ()) -> Tiling:
    """How pictures are cut for a network; one that takes a single size gets that size whole. A tile that has no room
    for the halo is enlarged; where a bucket of the network's grid has room, it is one."""
    if needs.size:
        return Tiling(max(needs.size), 0)
    tile = max(tile // needs.multiple * needs.multiple, 2 * needs.halo + needs.multiple)
    fitting = [side for side in buckets if side % needs.multiple == 0]
    roomy = [side for side in fitting if side > 2 * needs.halo]
    tile = max((side for side in roomy if side <= tile), default=min(roomy, default=tile))
    return Tiling(tile, needs.halo, needs.multiple, tuple(side for side in fitting if side <= tile))


def windows_of(needs: Needs, height: int, width: int, tiling: Tiling, sigma: float | None = None) -> list[Window]:
    """How a picture is cut for a network that is told its noise level: with no wider a halo than that asks for."""
    enough = [] if sigma is None else [halo for most, halo in needs.halos if sigma <= most]
    return restore.split(height, width, replace(tiling, halo=min([tiling.halo, *enough])))


def check_size(needs: Needs, height: int, width: int) -> None:
    """Raises WrongSize for a picture that the network can't take."""
    if needs.size and (height, width) != needs.size:
        raise WrongSize(needs.size, (height, width))


def restore_tiles(session: Session, tiles: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """As `Session.restore`. Raises NotFinite where any of them is not."""
    return all_finite(*session.restore(tiles, sigma))


def decode_codes(session: Session, codes: np.ndarray) -> np.ndarray:
    """Codes `n k` float32, any number -> pictures `n h w c` uint8. Raises NotFinite."""
    parts = [codes[at : at + DECODE_BATCH] for at in range(0, len(codes), DECODE_BATCH)]
    return np.concatenate([all_finite(*session.decode(part)) for part in parts])


def all_finite(answer: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """The answer, if all of it is finite."""
    if not finite.all():
        raise NotFinite
    return answer


def untouched(needs: Needs, sigma: float | None, strength: float) -> bool:
    """Whether a picture stays as it is: no change is asked for, or the network is told that there is no noise."""
    return strength == 0 or (needs.level and sigma == 0)


def restored(
    session: Session,
    pixels: Pixels,
    sigma: float,
    tiling: Tiling,
    done: Callable[[float], object] = lambda share: None,
    *,
    alpha: np.ndarray | None = None,
    strength: float = 1.0,
    into: Pixels | None = None,
) -> Pixels:
    """A picture of any size, tile by tile; level 0, and strength 0, leave it as it is: the same array is the answer.

    done: is told the share of tiles done. alpha: `h w` of the picture; what it hides is neither looked at nor changed.
    strength: 0 to 1, how much of the change is made. into: where the answer goes, a new array unless told; it may be
    the picture itself, of which no pixel is overwritten before the last window that looks at it was cut.
    """
    height, width = pixels.shape[:2]
    check_size(session.needs, height, width)
    if untouched(session.needs, sigma, strength):
        return pixels
    answer = np.empty_like(pixels) if into is None else into
    windows = windows_of(session.needs, height, width, tiling, sigma)
    waiting: deque[tuple[Window, Pixels]] = deque()
    for number, window in enumerate(windows, 1):
        while waiting and waiting[0][0].rows.until <= window.rows.start:
            restore.join(answer, *waiting.popleft())
        tile = restore.shown(pixels, alpha, window)
        restored_tile = restore_tiles(session, tile[None], np.array([sigma]))[0]
        waiting.append((window, restore.kept(pixels, alpha, window, restored_tile, strength).copy()))
        done(number / len(windows))
    for window, part in waiting:
        restore.join(answer, window, part)
    return answer


def reconstructed(session: Session, pixels: Pixels) -> tuple[Pixels, Placement]:
    """A picture of any size, fitted into the network's -> what the network makes of it, and how it was fitted.

    Raises CannotFit, NotFinite.
    """
    tile, placement = fitted(session.needs, pixels)
    return all_finite(*session.reconstruct(tile[None]))[0], placement


def encoded(session: Session, pixels: Pixels) -> tuple[np.ndarray, Placement]:
    """A picture of any size, fitted into the network's -> its code `k`, and how it was fitted.

    Raises CannotFit, NotFinite.
    """
    tile, placement = fitted(session.needs, pixels)
    return all_finite(*session.encode(tile[None]))[0], placement


def fitted(needs: Needs, pixels: Pixels) -> tuple[Pixels, Placement]:
    """A picture as a network of one size takes it; one that takes any has it as it is. Raises CannotFit."""
    return letterbox.fitted(pixels, needs.size or (pixels.shape[0], pixels.shape[1]))


def sketched(needs: Needs, pixels: Pixels) -> np.ndarray:
    """The lightness of a whole picture `h w 1` or `h w 3`, brought to the size that a colorizer works at: `H W 1`
    float32, in the picture's own levels."""
    size = letterbox.of_area(pixels.shape[0], pixels.shape[1], needs.whole, needs.multiple)
    return colour.lightness_of(letterbox.resampled(pixels, size))


def colorized(session: Session, pixels: Pixels) -> Pixels:
    """A whole picture `h w 1`, or `h w 3` whose lightness alone counts (uint8 or uint16) -> it in colour, `h w 3` of
    the same type: the network's chroma with the picture's own lightness. Raises NotFinite."""
    tint, finite = session.tint(sketched(session.needs, pixels), np.iinfo(pixels.dtype).max)
    if not finite:
        raise NotFinite
    return colour.painted(pixels, tint)
