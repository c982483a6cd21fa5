"""What is to be trained, on what, for how long; and what follows from that: the view of the pictures, the network."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, nn

from models import checkpoints, scenes
from models.checkpoints import Model
from models.data import Crops, Pictures, View, Wholes
from models.recipes import RECIPES, Recipe, Schedule, aimed, built
from models.scenes import Scenes
from models.types import Needs

SMALL_ENOUGH = 96
"""Pictures that share a size up to this side are learned as they are; larger ones are brought to the recipe's size."""

Size = int | tuple[int, int]
"""A side, or height and width, in pixels."""


@dataclass(frozen=True)
class Plan:
    """What to train, on what, for how long.

    recipe: a row of the table. name, version: of the checkpoint. steps, minutes: the limits, whichever comes first;
    with minutes alone, steps don't count. size: side of whole pictures or crops, or (height, width) of whole pictures,
    0 for the recipe's own. config: what differs from the network's defaults. aims: what differs from the recipe's
    objective. device: `auto`, `cpu`, `cuda`. compile: `auto` compiles where a compiler is at hand and no
    kernels of our own are quicker. save_every: seconds
    between saved states. scenes: shots of still scenes to learn from as well; scenes_share: how much of a batch they
    are. start_from: a checkpoint to begin with. half: store 16-bit weights, and 8-bit ones where a CPU computes with
    8 bits.
    """

    recipe: str
    data: Path
    name: str
    version: str = "1"
    state: Path = Path("training")
    minutes: float = 0.0
    schedule: Schedule = field(default_factory=Schedule)
    size: Size = 0
    config: dict[str, Any] = field(default_factory=dict)
    aims: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    compile: str = "auto"
    save_every: float = 120.0
    scenes: Path | None = None
    scenes_share: float = 0.5
    start_from: Path | None = None
    half: bool = False
    quiet: bool = False


def plan_for(recipe: str, **values: Any) -> Plan:
    """A plan with the recipe's own schedule, changed where `values` has `steps`, `batch` or `rate`."""
    row = RECIPES[recipe]
    changed = {name: values.pop(name) for name in ("steps", "batch", "rate") if values.get(name) is not None}
    if values.get("minutes") and "steps" not in changed:
        changed["steps"] = 0
    values = {name: value for name, value in values.items() if value is not None}
    return Plan(recipe, schedule=replace(row.schedule, **changed), **values)


def identity(plan: Plan, pictures: Pictures, scenes: Scenes | None, start: Model | None) -> dict[str, Any]:
    """What makes a run this run and no other, beside its network. Limits are not in it: they may change on the way."""
    recipe = RECIPES[plan.recipe]
    crop = recipe.crop
    return {
        "recipe": plan.recipe,
        "corruption": str(recipe.corruption),
        "objective": str(aimed(recipe.objective, plan.aims)),
        "seed": plan.seed,
        "batch": plan.schedule.batch,
        "rate": plan.schedule.rate,
        "muon": plan.schedule.muon or None,  # None as in states from before there was any
        "size": crop and (side_of(plan.size) or crop),  # that of whole pictures is among the network's settings
        "pictures": pictures.fingerprint,
        "scenes": f"{scenes.crops.pictures.fingerprint}, {scenes.share:g} of a batch" if scenes else None,
        "start_from": f"{start.description.title} ({start.description.sha256[:8]})" if start else None,
    }


def view_of(recipe: Recipe, pictures: Pictures, size: Size) -> View:
    """Crops or whole pictures, as the recipe has it. Raises DataError for crops that fit nowhere, ValueError for crops
    that are no squares."""
    if recipe.framed:
        side = side_of(size) or recipe.crop
        return Crops.framed(pictures, side, round(recipe.framed * side))
    if recipe.crop:
        return Crops.of(pictures, side_of(size) or recipe.crop, recipe.grey)
    if isinstance(size, tuple):
        return Wholes.of(pictures, size, recipe.mirrored)
    common = pictures.common_size
    if not size and common and max(common) <= SMALL_ENOUGH:
        return Wholes.of(pictures, common, recipe.mirrored)
    side = size or recipe.size
    return Wholes.of(pictures, (side, side), recipe.mirrored)


def scenes_for(plan: Plan, view: View, device: torch.device) -> Scenes | None:
    """Those that the plan names, if it does. Raises DataError, ValueError for a recipe that can't learn from any."""
    if not plan.scenes:
        return None
    able = [name for name, recipe in RECIPES.items() if recipe.asks == ("denoise",) and recipe.crop]
    if plan.recipe not in able or not isinstance(view, Crops):  # the latter is so of all with crops
        raise ValueError(f"{plan.recipe} can't learn from scenes; those that can: {', '.join(able)}")
    channels = len(view.pictures.train[0])
    return scenes.load(plan.scenes, channels, view.side, plan.scenes_share, device)


def side_of(size: Size) -> int:
    """The side of crops. Raises ValueError."""
    if isinstance(size, int):
        return size
    height, width = size
    if height != width:
        raise ValueError(f"this recipe learns from square crops, and {width}x{height} is none; tell --size their side")
    return height


def settings_for(recipe: Recipe, view: View) -> dict[str, Any]:
    """The recipe's settings for the network, with what the data says: channels, and the size where it is fixed."""
    if isinstance(view, Wholes):
        _, channels, height, width = view.train.shape
        return recipe.config | {"channels": channels, "height": height, "width": width}
    given = recipe.config | {"channels": view.draw(1, Generator().manual_seed(0)).shape[1]}
    return given | {"side": view.side} if recipe.framed and isinstance(view, Crops) else given


DECIDED = {
    "channels": "the pictures",
    "height": "the pictures",
    "width": "the pictures",
    "likelihood": "the recipe",
    "side": "--size",
}
"""Settings of a network that can't be set, and what decides them."""


def agreed(given: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The settings given by recipe and pictures, changed as asked. Raises ValueError for one that is decided."""
    for name in DECIDED.keys() & given.keys() & asked.keys():
        if asked[name] != given[name]:
            raise ValueError(f"{name} can't be set to {asked[name]!r}: it is {given[name]!r}, told by {DECIDED[name]}")
    return given | asked


def begun(architecture: str, config: Any, start: Model | None) -> Any:
    """A network with fresh weights, or with those of `start`. Raises ValueError where it can't have them."""
    try:
        network = built(architecture, config)
    except RuntimeError as error:
        raise ValueError(f"a network with {shown(config)} can't be made: {checkpoints.in_a_line(error)}") from error
    if start:
        adopt(network, start, f"{architecture} with {shown(config)}")
    return network


def adopt(network: nn.Module, start: Model, wanted: str) -> None:
    """Gives the network the weights of `start`. Raises ValueError where they are not for such a network."""
    try:
        network.load_state_dict(start.network.state_dict())
    except RuntimeError as error:
        described = start.description
        raise ValueError(
            f"can't start from {described.title}, which is {described.architecture} with {shown(start.network.config)}:"
            f" the weights are to be of {wanted}"
        ) from error


def shown(config: Any) -> str:
    """A network's settings on one line."""
    return json.dumps(asdict(config))


def check_crops(view: View, needs: Needs) -> None:
    """Raises ValueError for crops of a side that the network can't take."""
    if isinstance(view, Crops) and view.side % needs.multiple:
        raise ValueError(
            f"this network takes crops whose side divides by {needs.multiple}, and {view.side} px does not; "
            "choose another --size"
        )
