"""A run under way: step after step, each from what the one before left; what it leaves at the end."""

import math
import shutil
import time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel

from models import checkpoints, data, winograd
from models.checkpoints import Description
from models.corruptions import Spoilt
from models.data import Crops, Pictures, Wholes
from models.objectives import Elbo, Objective, Parts, at_step, total
from models.posterior import Posterior, active, joined, told_by_each
from models.recipes import RECIPES, aimed, asks_of, configured
from models.sessions import chosen_device, has_bfloat16
from models.training import optimisers, recycling
from models.training.halo import halos
from models.training.plan import Plan, agreed, begun, check_crops, identity, scenes_for, settings_for, view_of
from models.training.reach import reaches
from models.training.state import STATE, differences, read_state, under, write_state
from models.unet import HALO_SIGMAS, UNetConfig

HEARD_BATCHES = 4
"""Batches in which a unit must not answer once to be taken for silent."""
MEASURED_BATCHES = 16
"""Batches that what convolutions are given is measured on."""
CODES = 20_000
"""A mixture is fitted to the codes of so many pictures at most."""


@dataclass
class Progress:
    """How far a run has come; `seconds` are those spent training, over all its sittings. So many steps were `skipped`,
    and so many units `recycled`."""

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    recycled: int = 0


class Trainer:
    """A run under way: all that a step changes."""

    def __init__(self, plan: Plan, pictures: Pictures):
        self.plan = plan
        self.recipe = RECIPES[plan.recipe]
        self.objective = aimed(self.recipe.objective, plan.aims)
        self.device = chosen_device(plan.device)
        self.view = view_of(self.recipe, pictures.to(self.device), plan.size)
        self.scenes = scenes_for(plan, self.view, self.device)
        self.config = configured(self.recipe.architecture, agreed(settings_for(self.recipe, self.view), plan.config))
        start = checkpoints.load(plan.start_from) if plan.start_from else None
        torch.manual_seed(plan.seed)
        network = begun(self.recipe.architecture, self.config, start)
        check_crops(self.view, network.needs)
        self.identity = identity(plan, pictures, self.scenes, start)
        self.started_from = start.description.title if start else None
        self.network: Any = channels_last(network.to(self.device))
        self.averaged = AveragedModel(self.network, multi_avg_fn=averaging(plan.schedule.averaging))
        self.call = called(self.network, plan.compile, self.device)
        self.low_precision = has_bfloat16(self.device)
        self.optimisers = optimisers.made_for(self.network, plan.schedule, self.low_precision)
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
        self.call.train()
        before = [buffer.clone() for buffer in self.network.buffers()]
        torch.manual_seed(self.number)  # what Dropout draws from, and new units' weights
        self.recycle()
        parts = self.parts(*self.drawn())
        self.network.zero_grad()
        total(parts).backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.schedule.clip or math.inf)
        if torch.isfinite(norm):
            for one in self.optimisers:
                one.step()
            self.averaged.update_parameters(self.network)
        else:
            self.progress.skipped += 1
            self.restore(before)
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - began
        return parts

    def recycle(self) -> None:
        """Now and then, until half of the run is done: new weights for units that have fallen silent."""
        every = self.plan.schedule.recycle
        if not every or self.progress.step % every or self.fraction >= 0.5:
            return

        def ask() -> None:
            for batch in range(HEARD_BATCHES):
                clean, spoiler = self.drawn(batch + 1)
                self.lost(self.objective, self.network, clean, self.spoilt(clean, spoiler), spoiler)

        self.progress.recycled += recycling.recycle(self.network, self.averaged.module, self.optimisers, ask)

    def restore(self, before: list[Tensor]) -> None:
        """Puts buffers back to what they were before a step that was skipped: running means know no way back."""
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)

    def drawn(self, other: int = 0) -> tuple[Tensor, Generator]:
        """This step's clean batch, and the generator that spoils it; both told by (seed, step) alone, and by `other`
        where it is not the one to learn from."""
        number = self.number + other * 2**40
        clean = self.view.draw(self.plan.schedule.batch, Generator().manual_seed(number))
        # Another seed than the batch's: from equal ones, which picture it is would tell how it is spoilt.
        spoiler = Generator(self.device).manual_seed(number + 2**31)
        return clean.to(self.device).contiguous(memory_format=torch.channels_last), spoiler

    def parts(self, clean: Tensor, generator: Generator) -> Parts:
        """The parts of this step's loss on a batch."""
        objective, spoilt = at_step(self.objective, self.progress.step), self.spoilt(clean, generator)
        return self.lost(objective, self.call, clean, spoilt, generator)

    def spoilt(self, clean: Tensor, generator: Generator) -> Spoilt:
        """A batch as the recipe spoils it, some of it replaced by shots of scenes where there are any."""
        spoilt = self.recipe.corruption(clean, generator)
        return self.scenes.among(clean, spoilt, generator) if self.scenes else spoilt

    def lost(self, objective: Objective, network: Any, clean: Tensor, spoilt: Spoilt, generator: Generator) -> Parts:
        """The parts of a loss on a batch, by a network."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision):
            return objective(network, clean, spoilt, generator)

    def set_rate(self) -> None:
        """Linear warm-up, then half a cosine down to nothing (Loshchilov and Hutter 2017)."""
        schedule = self.plan.schedule
        warm = min(1.0, (self.progress.step + 1) / max(1, schedule.warm_up))
        rate = schedule.rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, self.fraction)))
        for one in self.optimisers:
            for group in one.param_groups:
                group["lr"] = rate

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Parts of the loss of the averaged weights on what is held out, spoilt the same way every time; of a code that
        is drawn also how many of its numbers are at work, and the nats that each tells by itself."""
        network: Any = self.averaged.module.eval()
        lost: list[Parts] = []
        posteriors: list[Posterior] = []
        for number, clean in enumerate(self.view.held_out()):
            generator, clean = Generator(self.device).manual_seed(number), clean.to(self.device)
            spoilt = self.recipe.corruption(clean, generator)
            lost.append(self.lost(self.objective, network, clean, spoilt, generator))
            if isinstance(self.objective, Elbo):
                posteriors.append(network.posterior(spoilt.pixels))
        told = {name: float(torch.stack([parts[name] for parts in lost]).mean()) for name in lost[0]}
        return told | (at_work(joined(posteriors, 0)) if posteriors else {})

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

    def fit_reaches(self) -> None:
        """Measures what the averaged network's convolutions that may be rounded are given, where it has any."""
        network: Any = self.averaged.module.eval()
        if names := getattr(network, "roundable", ()):
            spoilt = (self.spoilt(*self.drawn(batch + 1)) for batch in range(MEASURED_BATCHES))
            self.config = replace(self.config, reaches=reaches(network, names, spoilt))

    def fit_halo(self) -> None:
        """Measures how far the averaged network sees, where that is not told and there are pictures to see it on."""
        network: Any = self.averaged.module.eval()
        if not isinstance(self.config, UNetConfig) or self.config.halo or not isinstance(self.view, Crops):
            return
        side = 2 * network.needs.halo
        if large := [picture for picture in self.view.pictures.train if data.short_side(picture) >= side]:
            crops = replace(self.view, pictures=Pictures(large, []), side=side)
            *lower, halo = halos(network, crops, HALO_SIGMAS, network.needs.multiple)
            self.config = replace(self.config, halo=halo, halos=tuple(lower))

    @property
    def rounded(self) -> list[str]:
        """The weights that a CPU computes with in 8 bits."""
        return [f"{name}.weight" for name in getattr(self.network, "roundable", ())]

    def save(self) -> None:
        """Writes the state, whole or not at all."""
        told = {"progress": asdict(self.progress), "config": asdict(self.config), "run": self.identity}
        write_state(self.plan.state, told, self.tensors())

    def resume(self) -> bool:
        """Reads the state, if there is one. Raises ValueError for one that is of another run, or can't be read."""
        path = self.plan.state / STATE
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
        tensors |= {f"optimiser.{path}": tensor for path, tensor in optimisers.states(self.optimisers).items()}
        return {name: tensor.clone() for name, tensor in tensors.items()}

    def take(self, tensors: dict[str, Tensor]) -> None:
        """The other way round."""
        self.network.load_state_dict(under("network.", tensors))
        self.averaged.load_state_dict(under("averaged.", tensors))
        optimisers.take(self.optimisers, under("optimiser.", tensors))

    def description(self) -> Description:
        """What the checkpoint will say of itself."""
        plan = self.plan
        training = {
            "data": data.name_of(plan.data),
            "scenes": f"{data.name_of(plan.scenes)}, {plan.scenes_share:g} of a batch" if plan.scenes else None,
            "steps": self.progress.step,
            "minutes": round(self.progress.seconds / 60, 1),
            "batch": plan.schedule.batch,
            "seed": plan.seed,
            "device": self.device.type,
            "skipped_steps": self.progress.skipped,
            "recycled_units": self.progress.recycled,
            "corruption": str(self.recipe.corruption),
            "objective": str(self.objective),
            "started_from": self.started_from,
        }
        config = asdict(self.config)
        asks = asks_of(self.recipe, self.network)
        return Description(plan.name, plan.version, plan.recipe, self.recipe.architecture, asks, config, training)


def at_work(posterior: Posterior) -> dict[str, Any]:
    """For the run's log."""
    nats = [round(float(one), 3) for one in told_by_each(posterior)]
    return {"active_units": active(posterior), "nats_by_number": nats}


def channels_last(network: Any) -> Any:
    """The network with its weights in the order that convolutions are fastest in."""
    return network.to(memory_format=torch.channels_last)


def averaging(decay: float) -> Any:
    """Exponential averaging whose memory is short at first, so that short runs are not held back by their start."""

    def average(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, 1 - kept)

    return average


def called(network: Any, choice: str, device: torch.device) -> Any:
    """What a step calls, with the network's own weights: by Winograd's kernels where these gain and nothing else is
    told, or compiled where it can be."""
    if choice == "auto" and device.type == "cpu" and winograd.quickens(network):
        return winograd.quickened(network)
    return torch.compile(network) if can_compile(choice, device) else network


def can_compile(choice: str, device: torch.device) -> bool:
    """Whether to compile the network: it needs a C++ compiler for the CPU, Triton for a GPU."""
    if choice != "auto":
        return choice == "on"
    if device.type == "cuda":
        return find_spec("triton") is not None
    return any(shutil.which(compiler) for compiler in ("g++", "clang++"))
