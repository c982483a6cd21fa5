"""Still scenes that were taken several times: noise as it is, learned where no clean picture can be had.

Of each scene one shot is to become the mean of the others. That is noisy as well, but by noise that tells nothing of
the shot's own, so that what is learned is the scene (Lehtinen et al. 2018, "Noise2Noise").
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from models import data, images
from models.corruptions import Spoilt, judged, uniform
from models.data import Crops, DataError, Pictures
from models.types import Batch, Picture8

MISJUDGED = 0.5
"""Levels are told of the shots as they are of what `models.camera` makes for `photo-real`."""


@dataclass(frozen=True)
class Scenes:
    """Scenes to learn from beside pictures that are spoilt: `share` is how many of a batch are theirs, on average.

    crops: out of pictures `n*c h w`, the n shots of a scene one after the other, n from 2 on. channels: c.
    """

    crops: Crops
    channels: int
    share: float

    def among(self, clean: Batch, spoilt: Spoilt, generator: Generator) -> Spoilt:
        """The spoilt batch, some of it replaced by shots of scenes."""
        mine = uniform(generator, len(clean)) < self.share
        # Places are drawn where the pictures are cut, as those of the clean batch are: on the CPU.
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        shot, mean, level = self.drawn(len(clean), Generator().manual_seed(seed))
        told = torch.where(mine, judged(level, generator, MISJUDGED), spoilt.level)
        pixels, target = (
            torch.where(mine.view(-1, 1, 1, 1), ours, theirs)
            for ours, theirs in ((shot, spoilt.pixels), (mean, spoilt.target(clean)))
        )
        return Spoilt(pixels, told, target)

    def drawn(self, count: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Shots, the means of the others of the same scenes, `count c side side` each; and how strong the shots' noise
        is, `count`: how far they are from the means, less what is the means' own."""
        some = [data.as_floats(one.unflatten(0, (-1, self.channels))) for one in self.crops.cut(count, generator)]
        chosen = [int(torch.randint(len(shots), (), generator=generator)) for shots in some]
        shot = torch.stack([shots[one] for shots, one in zip(some, chosen, strict=True)])
        counts = shot.new_tensor([len(shots) for shots in some])
        sums = torch.stack([shots.sum(0) for shots in some])
        mean = (sums - shot) / (counts - 1).view(-1, 1, 1, 1)
        apart = (shot - mean).square().flatten(1).mean(1)
        return shot, mean, (apart * (counts - 1) / counts).sqrt()


def load(path: Path, channels: int, side: int, share: float, device: torch.device) -> Scenes:
    """Scenes out of a folder or zip with a folder for each, whose pictures are its shots; those straight in it are a
    scene as well. Pictures are brought to so many channels.

    Raises DataError for what is no picture, scenes of one shot, shots of several sizes or smaller than a crop.
    """
    shots: dict[str, list[Picture8]] = defaultdict(list)
    for name, file in data.files_of(path):
        try:
            picture = data.as_tensor(images.read(file))
        except images.PictureError as error:
            raise DataError(f"{name} can't be read: {error}") from error
        shots[str(Path(name).parent)].append(data.in_channels(picture, channels))
    if not shots:
        raise DataError(f"there is no picture in {path}")
    scenes = [one_after_the_other(path.name if name == "." else name, some, side) for name, some in shots.items()]
    return Scenes(Crops(Pictures(scenes, []).to(device), side), channels, share)


def one_after_the_other(name: str, shots: list[Picture8], side: int) -> Picture8:
    """A scene's shots in one. Raises DataError."""
    if len(shots) < 2:
        raise DataError(f"the scene {name} has a single shot, and two are needed: one to learn from, one to become")
    sizes = sorted({f"{shot.shape[2]}x{shot.shape[1]}" for shot in shots})
    if len(sizes) > 1:
        raise DataError(f"the shots of the scene {name} are of several sizes: {', '.join(sizes)}")
    if data.short_side(shots[0]) < side:
        raise DataError(f"the shots of the scene {name} are of {sizes[0]} px, and a crop is of {side} px; see --size")
    return torch.cat(shots)
