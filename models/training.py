"""The loop: pictures -> crops -> corruption -> network -> objective -> step; averaged weights; saved, resumed.

Step t draws from generators seeded by (seed, t) alone, so a run of so many steps that was resumed is the run that was
not. The state (weights, averaged weights, optimiser, step, seconds) is one safetensors file, replaced whole.
"""

import contextlib
import errno
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from models import checkpoints, data
from models.checkpoints import Description, Model
from models.data import Crops, Pictures, View, Wholes
from models.inference import chosen_device, has_bfloat16
from models.objectives import Parts, total
from models.recipes import RECIPES, Recipe, Schedule, aimed, asks_of, built, configured
from models.types import Needs

CODES = 20_000
"""A mixture is fitted to the codes of so many pictures at most."""
SMALL_ENOUGH = 96
"""Pictures that share a size up to this side are learned as they are; larger ones are brought to the recipe's size."""


@dataclass(frozen=True)
class Plan:
    """What to train, on what, for how long.

    recipe: a row of the table. name, version: of the checkpoint. steps, minutes: the limits, whichever comes first;
    with minutes alone, steps don't count. size: side of whole pictures or crops, 0 for the recipe's own. config: what
    differs from the network's defaults. aims: what differs from the recipe's objective. device: `auto`, `cpu`, `cuda`.
    compile: `auto` compiles where a compiler is at hand. save_every: seconds between saved states. start_from: a
    checkpoint to begin with. half: store 16-bit weights.
    """

    recipe: str
    data: Path
    name: str
    version: str = "1"
    state: Path = Path("training")
    minutes: float = 0.0
    schedule: Schedule = field(default_factory=Schedule)
    size: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    aims: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    compile: str = "auto"
    save_every: float = 120.0
    start_from: Path | None = None
    half: bool = False
    quiet: bool = False


@dataclass
class Progress:
    """How far a run has come; `seconds` are those spent training, over all its sittings."""

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0


class Stopped(Exception):
    """The run was asked to stop before its end; its state is saved and the same command goes on from there."""


class Trainer:
    """A run under way: all that a step changes."""

    def __init__(self, plan: Plan, pictures: Pictures):
        self.plan = plan
        self.recipe = RECIPES[plan.recipe]
        self.objective = aimed(self.recipe.objective, plan.aims)
        self.device = chosen_device(plan.device)
        self.view = view_of(self.recipe, pictures.to(self.device), plan.size)
        self.config = configured(self.recipe.architecture, agreed(settings_for(self.recipe, self.view), plan.config))
        start = checkpoints.load(plan.start_from) if plan.start_from else None
        torch.manual_seed(plan.seed)
        network = begun(self.recipe.architecture, self.config, start)
        check_crops(self.view, network.needs)
        self.identity = identity(plan, pictures, start)
        self.network: Any = channels_last(network.to(self.device))
        self.averaged = AveragedModel(self.network, multi_avg_fn=averaging(plan.schedule.averaging))
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), plan.schedule.rate, weight_decay=plan.schedule.weight_decay, fused=True
        )
        self.call = torch.compile(self.network) if can_compile(plan.compile, self.device) else self.network
        self.low_precision = has_bfloat16(self.device)
        self.progress = Progress()

    @property
    def fraction(self) -> float:
        """Of the whole run, done: by steps or by minutes, whichever is nearer to its end."""
        schedule, minutes = self.plan.schedule, self.plan.minutes
        by_steps = self.progress.step / schedule.steps if schedule.steps else 0.0
        return max(by_steps, self.progress.seconds / 60 / minutes if minutes else 0.0)

    @property
    def number(self) -> int:
        """This step's seed, told by (seed, step) alone; 63 bits, whatever the run's seed."""
        return (self.plan.seed * 1_000_003 + self.progress.step) % 2**63

    def step(self) -> Parts:
        """One step; returns the parts of the loss before it. A step that is not finite is skipped and counted."""
        began = time.monotonic()
        self.set_rate()
        self.network.train()
        before = [buffer.clone() for buffer in self.network.buffers()]
        torch.manual_seed(self.number)  # what Dropout draws from
        parts = self.parts(*self.drawn())
        self.optimiser.zero_grad()
        total(parts).backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.schedule.clip or math.inf)
        if torch.isfinite(norm):
            self.optimiser.step()
            self.averaged.update_parameters(self.network)
        else:
            self.progress.skipped += 1
            self.restore(before)
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - began
        return parts

    def restore(self, before: list[Tensor]) -> None:
        """Puts buffers back to what they were before a step that was skipped: running means know no way back."""
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)

    def drawn(self) -> tuple[Tensor, Generator]:
        """This step's clean batch, and the generator that spoils it; both told by (seed, step) alone."""
        number = self.number
        clean = self.view.draw(self.plan.schedule.batch, Generator().manual_seed(number))
        # Another seed than the batch's: from equal ones, which picture it is would tell how it is spoilt.
        spoiler = Generator(self.device).manual_seed(number + 2**31)
        return clean.to(self.device).contiguous(memory_format=torch.channels_last), spoiler

    def parts(self, clean: Tensor, generator: Generator, network: Any = None) -> Parts:
        """The parts of the loss on a batch."""
        spoilt = self.recipe.corruption(clean, generator)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision):
            return self.objective(network or self.call, clean, spoilt, generator)

    def set_rate(self) -> None:
        """Linear warm-up, then half a cosine down to nothing (Loshchilov and Hutter 2017)."""
        schedule = self.plan.schedule
        warm = min(1.0, (self.progress.step + 1) / max(1, schedule.warm_up))
        rate = schedule.rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, self.fraction)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Parts of the loss of the averaged weights on what is held out, spoilt the same way every time."""
        network = self.averaged.module.eval()
        sums: dict[str, float] = {}
        batches = 0
        for number, clean in enumerate(self.view.held_out()):
            generator = Generator(self.device).manual_seed(number)
            for name, value in self.parts(clean.to(self.device), generator, network).items():
                sums[name] = sums.get(name, 0.0) + float(value)
            batches += 1
        return {name: value / batches for name, value in sums.items()}

    @torch.no_grad()
    def fit_prior(self) -> None:
        """Fits a mixture to the codes of the pictures learned from, at most CODES, where the network has one."""
        if not getattr(self.config, "mixture", 0) or not isinstance(self.view, Wholes):
            return
        network: Any = self.averaged.module.eval()
        pictures = self.view.train
        order = torch.randperm(len(pictures), generator=Generator().manual_seed(self.plan.seed))[:CODES]
        parts = order.to(pictures.device).split(500)
        codes = torch.cat([network.code(data.as_floats(pictures[part]).to(self.device)) for part in parts])
        network.fit_prior(codes, self.plan.seed)

    def save(self) -> None:
        """Writes the state, whole or not at all."""
        self.plan.state.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        told = {"progress": asdict(self.progress), "config": asdict(self.config), "run": self.identity}
        written = {name: json.dumps(value) for name, value in told.items()}
        checkpoints.replace_file(self.plan.state / "state.safetensors", save_tensors(tensors, written))

    def resume(self) -> bool:
        """Reads the state, if there is one. Raises ValueError for one that is of another run, or can't be read."""
        path = self.plan.state / "state.safetensors"
        if not path.exists():
            return False
        told, tensors = read_state(path)
        # Older states don't say which run they are of: of those the network alone is compared.
        now = asdict(self.config) | (self.identity if "run" in told else {})
        then = asdict(type(self.config)()) | told["config"]  # nor what has become a setting since
        if different := differences(then | told.get("run", {}), now):
            raise ValueError(
                f"the state in {self.plan.state} is of another run: {different}; ask as before to go on with it, "
                "name another --state, or remove that folder"
            )
        self.take(tensors)
        self.progress = Progress(**told["progress"])
        return True

    def tensors(self) -> dict[str, Tensor]:
        """Everything a step changes, flat."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"averaged.{name}": tensor for name, tensor in self.averaged.state_dict().items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in state.items()}
        return {name: tensor.clone() for name, tensor in tensors.items()}

    def take(self, tensors: dict[str, Tensor]) -> None:
        """The other way round."""
        self.network.load_state_dict(under("network.", tensors))
        self.averaged.load_state_dict(under("averaged.", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        parameters = list(self.network.parameters())
        for name, tensor in under("optimiser.", tensors).items():
            number, _, key = name.partition(".")
            state.setdefault(int(number), {})[key] = laid_out_as(parameters[int(number)], tensor)
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})

    def description(self) -> Description:
        """What the checkpoint will say of itself."""
        plan = self.plan
        training = {
            "data": plan.data.name,
            "steps": self.progress.step,
            "minutes": round(self.progress.seconds / 60, 1),
            "batch": plan.schedule.batch,
            "seed": plan.seed,
            "device": self.device.type,
            "skipped_steps": self.progress.skipped,
            "objective": str(self.objective) if plan.aims else None,
            "started_from": plan.start_from.name if plan.start_from else None,
        }
        config = asdict(self.config)
        asks = asks_of(self.recipe, self.network)
        return Description(plan.name, plan.version, plan.recipe, self.recipe.architecture, asks, config, training)


def identity(plan: Plan, pictures: Pictures, start: Model | None) -> dict[str, Any]:
    """What makes a run this run and no other, beside its network. Limits are not in it: they may change on the way."""
    crop = RECIPES[plan.recipe].crop
    return {
        "recipe": plan.recipe,
        "seed": plan.seed,
        "batch": plan.schedule.batch,
        "rate": plan.schedule.rate,
        "size": crop and (plan.size or crop),  # that of whole pictures is among the network's settings
        "pictures": pictures.fingerprint,
        "aims": plan.aims or None,
        "start_from": f"{start.description.title} ({start.description.sha256[:8]})" if start else None,
    }


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a state says of itself, and its tensors. Raises ValueError."""
    try:
        with safe_open(path, "pt") as saved:
            told = {name: json.loads(value) for name, value in (saved.metadata() or {}).items()}
            tensors = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error}; name another --state, or remove that file") from error
    if not {"progress", "config"} <= told.keys():
        raise ValueError(f"{path} is no state of a training; name another --state")
    return told, tensors


def differences(then: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between two runs, in words; the recipe alone where that does, since much follows from it."""
    now = json.loads(json.dumps(now))  # as `then` was: tuples are lists
    names = [name for name in then | now if then.get(name) != now.get(name)]
    names = ["recipe"] if "recipe" in names else names
    return ", ".join(f"{name} was {json.dumps(then.get(name))} and is {json.dumps(now.get(name))}" for name in names)


def train(plan: Plan, folder: Path) -> Description:
    """Trains (or goes on training) until a limit, then writes the averaged weights to `folder` as a checkpoint.

    Raises DataError, ValueError for a plan that can't be, OSError where nothing can be written, all before the first
    step; Stopped when told to stop before the end.
    """
    trainer = Trainer(plan, data.load(plan.data))
    resumed = trainer.resume()
    check_writable(folder.parent)
    trainer.save()  # so that a state that can't be written is told now and not after hours
    if not plan.quiet:
        print(opening(trainer, resumed), flush=True)
    with asked_to_stop() as stop:
        run_to_the_end(trainer, stop)
    if stop:
        raise Stopped(f"stopped at step {trainer.progress.step}; the same command goes on from there")
    trainer.fit_prior()
    return checkpoints.save(folder, trainer.description(), trainer.averaged.module.state_dict(), plan.half)


def forget(state: Path) -> None:
    """Removes a run's state: its checkpoint is written."""
    shutil.rmtree(state, ignore_errors=True)


def run_to_the_end(trainer: Trainer, stop: list[int]) -> None:
    """Steps until a limit is met or a signal came; saves and validates now and then, and at the end.

    Always in this order, so that a validation that fails loses no step.
    """
    saved = time.monotonic()
    with tqdm(total=100.0, unit="%", disable=trainer.plan.quiet, bar_format=BAR) as bar:
        while trainer.fraction < 1 and not stop:
            parts = trainer.step()
            bar.update(min(100.0, 100 * trainer.fraction) - bar.n)
            if trainer.progress.step % 20 == 0:
                bar.set_postfix_str(told(trainer, parts), refresh=False)
            if time.monotonic() - saved > trainer.plan.save_every:
                trainer.save()
                record(trainer, parts)
                saved = time.monotonic()
    trainer.save()
    if not stop and trainer.progress.step:
        record(trainer, {})


BAR = "{percentage:5.1f}% |{bar}| {elapsed} gone, {remaining} left{postfix}"


def told(trainer: Trainer, parts: Parts) -> str:
    """The bar's last words."""
    losses = " ".join(f"{name} {float(value.detach()):.4g}" for name, value in parts.items())
    return f" step {trainer.progress.step} {losses}"


def opening(trainer: Trainer, resumed: bool) -> str:
    """What a run says first."""
    weights = sum(p.numel() for p in trainer.network.parameters()) / 1e6
    start = f"going on at step {trainer.progress.step}" if resumed else "starting"
    how = "bf16" if trainer.low_precision else "fp32"
    return f"{trainer.plan.name}: {start}, {weights:.2f} M weights, {trainer.device.type}, {how}"


def record(trainer: Trainer, parts: Parts) -> None:
    """One line of the run's log: where it stands on the last batch and on what is held out."""
    line = asdict(trainer.progress) | {name: float(value.detach()) for name, value in parts.items()}
    line |= {f"held_out_{name}": value for name, value in trainer.validate().items()}
    trainer.plan.state.mkdir(parents=True, exist_ok=True)
    with (trainer.plan.state / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


@contextlib.contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM comes; a second signal acts as it would have."""
    received: list[int] = []
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def channels_last(network: Any) -> Any:
    """The network with its weights in the order that convolutions are fastest in."""
    return network.to(memory_format=torch.channels_last)


def laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The tensor in the parameter's memory order: the fused optimiser walks both as flat arrays."""
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def averaging(decay: float) -> Any:
    """Exponential averaging whose memory is short at first, so that short runs are not held back by their start."""

    def average(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, 1 - kept)

    return average


def view_of(recipe: Recipe, pictures: Pictures, size: int) -> View:
    """Crops or whole pictures, as the recipe has it."""
    if recipe.framed:
        side = size or recipe.crop
        return Crops.framed(pictures, side, round(recipe.framed * side))
    if recipe.crop:
        return Crops.of(pictures, size or recipe.crop, recipe.grey)
    common = pictures.common_size
    if not size and common and max(common) <= SMALL_ENOUGH:
        return Wholes.of(pictures, common)
    side = size or recipe.size
    return Wholes.of(pictures, (side, side))


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


def check_writable(folder: Path) -> None:
    """Raises OSError for a folder that can't be made, or written into."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def can_compile(choice: str, device: torch.device) -> bool:
    """Whether to compile the network: it needs a C++ compiler for the CPU, Triton for a GPU."""
    if choice != "auto":
        return choice == "on"
    if device.type == "cuda":
        return find_spec("triton") is not None
    return any(shutil.which(compiler) for compiler in ("g++", "clang++"))


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those whose name begins so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def plan_for(recipe: str, **values: Any) -> Plan:
    """A plan with the recipe's own schedule, changed where `values` has `steps`, `batch` or `rate`."""
    row = RECIPES[recipe]
    changed = {name: values.pop(name) for name in ("steps", "batch", "rate") if values.get(name) is not None}
    if values.get("minutes") and "steps" not in changed:
        changed["steps"] = 0
    values = {name: value for name, value in values.items() if value is not None}
    return Plan(recipe, schedule=replace(row.schedule, **changed), **values)
