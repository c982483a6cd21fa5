"""Holds the loaded models and the device, and runs batches. Only the device's own thread calls `run`."""

import logging
import math
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch

from models import checkpoints, inference, restore, sessions
from models.catalog import Catalog, Entry
from models.checkpoints import CheckpointError, Description, Model
from models.inference import NotFinite
from models.restore import TILE, Tiling, Window
from models.sessions import Session
from models.tasks import DECODE_BATCH, TASK_OF
from models.types import Needs
from service import metrics
from service.settings import Settings

log = logging.getLogger("denoir")

GPU_BUCKETS = (64, 128, 256, 512, TILE)
"""Sides of windows on a GPU, which wants few shapes; on a CPU windows fit their picture, and cost what they hold."""

BATCH_PIXELS = {"cpu": 256**2, "cuda": 2048**2}
"""Pixels in a batch, unless told. A GPU wants much at once. A CPU is no faster for it, and what is under way when
clients hang up, or one with a thumbnail comes, is waited for."""


@dataclass(frozen=True)
class Kind:
    """What may share a batch: one model, one task, tiles of one shape and type."""

    model: str
    task: str
    shape: tuple[int, ...] = ()
    dtype: str = "uint8"

    @property
    def pieces(self) -> int:
        """How many are in one payload: codes that fill a batch come as one."""
        return self.shape[0] if self.task == "decode" and self.shape else 1


@dataclass(frozen=True)
class Loaded:
    """A model on the device, and how pictures are cut for it."""

    description: Description
    session: Session
    tiling: Tiling

    @property
    def needs(self) -> Needs:
        return self.session.needs

    def windows(self, height: int, width: int, sigma: float | None = None) -> list[Window]:
        """What a picture with noise of that level, or of one not known yet, is cut into."""
        return inference.windows_of(self.needs, height, width, self.tiling, sigma)


class OutOfMemory(Exception):
    """The device has no memory for a piece of work, however small it was cut."""


class Engine:
    """The models of a catalog on one device: all loaded from the start, or, where that is set or their memory is
    bounded, each when it is first needed.

    loaded: by title. sizes: bytes that each took when it was loaded. limit: bytes that all may take. before: bytes that
    were taken without any.
    Raises CheckpointError for one that can't be used.
    """

    def __init__(self, catalog: Catalog, settings: Settings, shelves: tuple[Path, ...] = ()):
        self.catalog, self.shelves = catalog, shelves
        self.cache = settings.cache
        self.device = sessions.chosen_device(settings.device)
        self.limit = settings.model_memory or math.inf
        self.preload = settings.preload and not settings.model_memory
        self.buckets = GPU_BUCKETS if self.device.type == "cuda" else ()
        self.tile, self.least = settings.tile, min(settings.tile, settings.least_tile)
        self.batch_pixels = settings.batch_pixels or BATCH_PIXELS[self.device.type]
        self.before = self.memory
        self.loaded: dict[str, Loaded] = {}
        self.let_go: WeakValueDictionary[str, Loaded] = WeakValueDictionary()
        self.sizes: dict[str, int] = {}
        self.grown: dict[str, int] = {}
        self.needs: dict[str, Needs] = {}
        with sessions.one_thread():
            for title in catalog.titles:
                (self.load if self.preload else self.check)(catalog.entries[title])

    def load(self, entry: Entry, apart: bool = False) -> Loaded:
        """Reads a checkpoint onto the device. Raises CheckpointError, also where it is another than it was.

        apart: what has to be compiled is drawn in a process of its own first, so that nobody waits for it here.
        """
        title = entry.description.title
        if again := self.still_held(entry):
            return again
        if apart and self.device.type == "cpu":
            sessions.draw_apart(entry.folder, entry.description.asks, self.cache)
        self.grown[title] = 0
        with self.accounted(title):
            model = self.check(entry)
            session = Session(model.network, self.device, title, model.description.sha256, self.cache)
            tiling = inference.tiling_for(session.needs, self.tile, self.buckets)
            self.loaded[title] = loaded = Loaded(model.description, session, tiling)
        metrics.LOADS.labels(title).inc()
        return loaded

    def still_held(self, entry: Entry) -> Loaded | None:
        """The model, taken back, if it was let go of and somebody holds it: loaded anew it would be there twice."""
        title = entry.description.title
        held = self.let_go.get(title)
        if held is None or held.description.sha256 != entry.description.sha256:
            return None
        self.loaded[title] = held
        metrics.MODEL_BYTES.labels(title).set(self.sizes[title])
        return held

    def check(self, entry: Entry) -> Model:
        """The checkpoint, if it can be used; what it needs is known from then on. Raises CheckpointError."""
        model = checkpoints.load(entry.folder)
        if model.description.sha256 != entry.description.sha256:
            raise CheckpointError(f"{entry.folder.name}: it has changed since it was listed")
        self.needs[entry.description.title] = model.network.needs
        return model

    def unload(self, title: str) -> None:
        """Lets go of a model, where it is loaded; its memory is free as soon as no request holds it."""
        if title not in self.loaded:
            return
        self.let_go[title] = self.loaded.pop(title)
        metrics.UNLOADS.labels(title).inc()
        metrics.MODEL_BYTES.labels(title).set(0)

    def add(self, entry: Entry) -> None:
        """Makes a model known."""
        self.catalog = Catalog(self.catalog.entries | {entry.description.title: entry})

    def forget(self, title: str) -> None:
        """Makes a model unknown."""
        self.catalog = Catalog({one: entry for one, entry in self.catalog.entries.items() if one != title})
        self.unload(title)

    def of(self, kind: Kind) -> Loaded:
        """The model of a kind, which may be one that was let go of and is still held by whoever asks."""
        return self.loaded.get(kind.model) or self.let_go[kind.model]

    @property
    def memory(self) -> int:
        """Bytes that are taken: of the GPU by this process, on a CPU by the process itself."""
        return torch.cuda.memory_allocated(self.device) if self.device.type == "cuda" else resident()

    @property
    def held(self) -> int:
        """Bytes that the loaded models take: no more in all than there is beyond what was there without them, as what
        requests took while one was loaded was counted as its own, and is let go of."""
        counted, there = sum(self.sizes[title] for title in self.loaded), self.memory - self.before
        return min(counted, there) if there > 0 else counted  # some systems don't tell

    @contextmanager
    def accounted(self, title: str) -> Iterator[None]:
        """Counts what is taken meanwhile as the model's: at least its weights, and what it took when it was loaded
        before, as another's room may be used again."""
        before = self.memory
        yield
        self.grown[title] += max(0, self.memory - before)
        self.sizes[title] = max(self.loaded[title].session.size, self.sizes.get(title, 0), self.grown[title])
        metrics.MODEL_BYTES.labels(title).set(self.sizes[title])

    def capacity(self, kind: Kind) -> int:
        """How many pieces of a kind one batch may hold."""
        return CAPACITIES[kind.task](self, kind)

    def run(self, kind: Kind, payloads: list[Any]) -> list[Any]:
        """One batch: payloads in, results out, in the same order. What doesn't fit is run in smaller parts."""
        try:
            return TASKS[kind.task](self.of(kind), payloads)
        except Exception as error:
            if not sessions.lacks_memory(error):
                raise
        # Not before here, as an error holds on to what took the memory.
        log.warning("no memory for %d of %s: in smaller parts", len(payloads), kind)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(payloads) > 1:
            middle = len(payloads) // 2
            return [*self.run(kind, payloads[:middle]), *self.run(kind, payloads[middle:])]
        return [self.run_cut(kind, payloads[0])]

    def run_cut(self, kind: Kind, payload: Any) -> Any:
        """One tile as if it were a picture to be cut into smaller tiles, if it may be; or what went wrong."""
        windows = smaller(self.of(kind), kind, self.least)
        if not windows:
            return OutOfMemory()
        tile, sigma = payload
        answer = np.empty_like(tile)
        for window in windows:
            part = Kind(kind.model, kind.task, (*window.shape, tile.shape[2]), kind.dtype)
            (result,) = self.run(part, [(restore.cut(tile, window), sigma)])
            if isinstance(result, Exception):
                return result
            restore.join(answer, window, restore.kept(tile, None, window, result))
        return answer

    def examples(self, *titles: str) -> Iterator[tuple[Kind, int, Any]]:
        """Of everything that can be asked of those models, or of all that are loaded: a kind, what one piece of it
        costs in pixels, and such a piece."""
        for title in titles or tuple(self.loaded):
            loaded = self.loaded[title]
            for task in dict.fromkeys(TASK_OF[ask] for ask in loaded.description.asks):
                yield EXAMPLES[task](title, loaded)

    def warm_up(self, *titles: str) -> None:
        """One small batch of everything, so that the first request doesn't pay for first-time work."""
        for title in titles or tuple(self.loaded):
            with self.accounted(title):
                for kind, _, payload in self.examples(title):
                    self.run(kind, [payload])


def resident() -> int:
    """Bytes of memory that this process has; 0 where the system doesn't tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def smaller(loaded: Loaded, kind: Kind, least: int) -> list[Window]:
    """Windows of a quarter of a tile's pixels, or of the next smaller bucket's, with the same halo, but of no fewer
    than a square of side `least` has; none where it can't be cut."""
    if kind.task != "restore" or loaded.needs.size:
        return []
    side, buckets = math.isqrt(kind.shape[0] * kind.shape[1]), loaded.tiling.buckets
    tiling = inference.tiling_for(loaded.needs, max(side - 1 if buckets else side // 2, least), buckets)
    windows = restore.split(kind.shape[0], kind.shape[1], tiling)
    return windows if len(windows) > 1 else []


def grey_tile(title: str, loaded: Loaded) -> tuple[Kind, int, tuple[np.ndarray, float]]:
    """The largest tile."""
    height, width = loaded.needs.size or (loaded.tiling.tile, loaded.tiling.tile)
    shape = restore.split(height, width, loaded.tiling)[0].shape
    tile = np.full((*shape, loaded.needs.channels), 128, np.uint8)
    return Kind(title, "restore", tile.shape), shape[0] * shape[1], (tile, 25.0)


def middle_code(title: str, loaded: Loaded) -> tuple[Kind, int, np.ndarray]:
    """The code in the middle of all."""
    height, width = loaded.needs.size or (1, 1)
    return Kind(title, "decode"), height * width, np.zeros(loaded.needs.latent or 0, np.float32)


def grey_whole(title: str, loaded: Loaded, task: str) -> tuple[Kind, int, np.ndarray]:
    """A picture of the one size that the model takes."""
    height, width = loaded.needs.size or (1, 1)
    tile = np.full((height, width, loaded.needs.channels), 128, np.uint8)
    return Kind(title, task, tile.shape), height * width, tile


def restore_batch(loaded: Loaded, payloads: list[tuple[np.ndarray, float]]) -> list[np.ndarray | NotFinite]:
    """(tile `h w c`, noise level) each -> restored tiles."""
    tiles = np.stack([tile for tile, _ in payloads])
    return pieces(*loaded.session.restore(tiles, np.array([sigma for _, sigma in payloads])))


def decode_batch(loaded: Loaded, payloads: list[np.ndarray]) -> list[np.ndarray | NotFinite]:
    """Codes `k` -> a picture each; or a full batch of codes `b k` -> its pictures."""
    codes = np.stack(payloads)
    if codes.ndim == 2:
        return pieces(*loaded.session.decode(codes))
    answers = [loaded.session.decode(batch) for batch in codes]
    return [pictures if finite.all() else NotFinite() for pictures, finite in answers]


def reconstruct_batch(loaded: Loaded, payloads: list[np.ndarray]) -> list[np.ndarray | NotFinite]:
    """Tiles `h w c` -> what the model makes of their codes, in its own channels."""
    return pieces(*loaded.session.reconstruct(np.stack(payloads)))


def encode_batch(loaded: Loaded, payloads: list[np.ndarray]) -> list[np.ndarray | NotFinite]:
    """Tiles `h w c` -> codes."""
    return pieces(*loaded.session.encode(np.stack(payloads)))


def colorize_batch(loaded: Loaded, payloads: list[tuple[np.ndarray, int]]) -> list[np.ndarray | NotFinite]:
    """(lightness `h w 1` of a whole picture as `inference.sketched`, its peak) each -> chroma."""
    answers = [loaded.session.tint(grey, peak) for grey, peak in payloads]
    return [tint if finite else NotFinite() for tint, finite in answers]


def grey_sketch(title: str, loaded: Loaded) -> tuple[Kind, int, tuple[np.ndarray, int]]:
    """A square as the model sees it."""
    side = loaded.needs.whole
    sketch = inference.sketched(loaded.needs, np.full((side, side, 1), 128, np.uint8))
    return Kind(title, "colorize"), side**2, (sketch, 255)


def by_pixels(engine: Engine, kind: Kind) -> int:
    """As many tiles as the budget of pixels holds; on a GPU a power of two of them, which batches are filled up to."""
    most = max(1, engine.batch_pixels // (kind.shape[0] * kind.shape[1]))
    return 1 << (most.bit_length() - 1) if engine.buckets else most


def pieces(answers: np.ndarray, finite: np.ndarray) -> list[np.ndarray | NotFinite]:
    """Each answer, or what went wrong with it: one that is not finite harms none that shares its batch."""
    return [answer if good else NotFinite() for answer, good in zip(answers, finite, strict=True)]


TASKS: dict[str, Callable[[Loaded, list[Any]], list[Any]]] = {
    "restore": restore_batch,
    "decode": decode_batch,
    "reconstruct": reconstruct_batch,
    "encode": encode_batch,
    "colorize": colorize_batch,
}
CAPACITIES: dict[str, Callable[[Engine, Kind], int]] = {
    "restore": by_pixels,
    "decode": lambda engine, kind: 1 if kind.shape else DECODE_BATCH,
    "reconstruct": by_pixels,
    "encode": by_pixels,
    "colorize": lambda engine, kind: 1,
}
EXAMPLES: dict[str, Callable[[str, Loaded], tuple[Kind, int, Any]]] = {
    "restore": grey_tile,
    "decode": middle_code,
    "reconstruct": partial(grey_whole, task="reconstruct"),
    "encode": partial(grey_whole, task="encode"),
    "colorize": grey_sketch,
}


def use_cores(count: int) -> None:
    """Computes with so many threads, and no more."""
    torch.set_num_threads(count)
