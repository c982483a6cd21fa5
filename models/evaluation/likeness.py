"""Pictures that a model draws, held against real ones: how like them they are, and whether they are copies."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models import data, features, fidelity, inference
from models.checkpoints import Model
from models.corruptions import Gaussian
from models.data import as_floats
from models.evaluation.pixels import CHUNK, batched, transparent, whole
from models.evaluation.protocol import Row
from models.fidelity import NEAREST
from models.recipes import RECIPES
from models.sessions import Session

SEED = 0
"""Of the pictures that are drawn, and of the noise on real ones."""
TEMPERATURES = (1.0, 0.8)
"""What is drawn is measured at these."""
BLUR, NOISE = 1.0, 50.0
"""What real pictures are spoilt with to be compared as well: deviations, in pixels and in grey levels."""

Space = Callable[[Tensor], np.ndarray]
"""Where pictures are compared: `n c h w` uint8 -> `n f`."""


class Sets(NamedTuple):
    """Real pictures as a model takes them, `n c h w` uint8. real: what is drawn is held against these. others: as many
    of the same kind, no nearer to them than chance has it. taught: all that the model learned from. unseen: some that
    it did not."""

    real: Tensor
    others: Tensor
    taught: Tensor
    unseen: Tensor

    @classmethod
    def of(cls, model: Model, clean: Tensor, path: Path) -> "Sets":
        """Test pictures, `clean`, beside as many training pictures; without a test part, every second picture of the
        set beside the rest, learned from or not: those held out are too few to tell how like others are to them."""
        known = data.load(path, transparent(model))
        taught = whole(model, known.train)
        if data.sets_apart(path):
            return cls(clean, taught[: len(clean)], taught, clean)
        everything, unseen = whole(model, known.train + known.held_out), whole(model, known.held_out)
        return cls(everything[::2], everything[1::2], taught, unseen)


def compared(model: Model, session: Session, sets: Sets) -> dict[str, list[Row]]:
    """Tables by their titles: likeness in the features that the recipe names, and nearest training pictures."""
    drawn = {t: samples(session, len(sets.real), t) for t in TEMPERATURES}
    learned = spaces_of(model)
    spaces = {"pixels": flat} | learned
    nearest = [memory_in(name, space, sets, drawn[TEMPERATURES[0]]) for name, space in spaces.items()]
    tables = {"Median distance to the nearest training picture": nearest}
    for name, space in learned.items():
        if (few := min(len(sets.real), len(sets.others))) > NEAREST:
            tables[f"Likeness to {len(sets.real)} real pictures, in {name}"] = likeness_in(space, sets, drawn)
        else:
            print(f"likeness in {name} is left out: of {few} pictures none has {NEAREST} neighbours")
    return tables


def spaces_of(model: Model) -> dict[str, Space]:
    """The features that the model's recipe names; none where it names none, or where they are not installed."""
    recipe = RECIPES.get(model.description.recipe)
    if not recipe or not recipe.features:
        return {}
    try:
        extract = features.extractor(recipe.features, model.network.needs)
    except features.NoFeatures as error:
        print(error)
        return {}
    return {f"features of {recipe.features}": lambda pictures: batched_features(extract, pictures)}


def batched_features(extract: features.Extractor, pictures: Tensor) -> np.ndarray:
    return batched(pictures, lambda part, at: extract(as_floats(part))).numpy()


def flat(pictures: Tensor) -> np.ndarray:
    """The pictures' own values, in [0, 1]."""
    return as_floats(pictures).flatten(1).numpy()


def samples(session: Session, count: int, temperature: float) -> Tensor:
    """The first so many pictures of the seed, as they are served: `n c h w` uint8."""
    parts = [session.draw(SEED, at, min(CHUNK, count - at), temperature) for at in range(0, count, CHUNK)]
    pictures = np.concatenate([inference.decode_codes(session, part) for part in parts])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def likeness_in(space: Space, sets: Sets, drawn: dict[float, Tensor]) -> list[Row]:
    """What is drawn, and beside it real pictures, whole and spoilt: the best and the worst that these figures know."""
    real = space(sets.real)
    compared = {f"drawn, temperature {t:g}": pictures for t, pictures in drawn.items()}
    compared |= {"other real pictures": sets.others, f"those blurred by {BLUR:g} px": blurred(sets.others)}
    compared |= {f"those with noise of {NOISE:g}": noisy(sets.others)}
    return [{"pictures": name, **fidelity.likeness(real, space(one))._asdict()} for name, one in compared.items()]


def memory_in(name: str, space: Space, sets: Sets, drawn: Tensor) -> Row:
    return {"in": name, **fidelity.memory(space(sets.taught), space(drawn), space(sets.unseen))._asdict()}


def noisy(pictures: Tensor) -> Tensor:
    """`n c h w` uint8 with Gaussian noise."""
    generator = Generator().manual_seed(SEED)
    return batched(pictures, lambda part, at: as_bytes(Gaussian(NOISE, NOISE)(as_floats(part), generator).pixels))


def blurred(pictures: Tensor) -> Tensor:
    """`n c h w` uint8 through a Gaussian, edges reflected."""
    reach = round(3 * BLUR)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / BLUR) ** 2)
    kernel = (weights[:, None] * weights / weights.sum() ** 2).expand(pictures.shape[1], 1, -1, -1)
    padded = F.pad(as_floats(pictures), (reach,) * 4, mode="reflect")
    return as_bytes(F.conv2d(padded, kernel, groups=pictures.shape[1]))


def as_bytes(pictures: Tensor) -> Tensor:
    """[0, 1] -> uint8."""
    return pictures.clamp(0, 1).mul(255).round().to(torch.uint8)
