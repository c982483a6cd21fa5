"""Which models are loaded: all from the start, or each when first asked for; and what is new on the shelf.

A newer version takes requests over only when it is loaded and warm, and what is under way ends with the model that it
began with: so none is lost. A version never changes: what is put in its place is refused, and the old one serves on.
"""

import asyncio
import itertools
import logging
from functools import partial

from models.catalog import Catalog, Entry
from models.checkpoints import CONFIG, WEIGHTS, CheckpointError
from service import metrics
from service.batcher import Batcher
from service.engine import Engine, Loaded

log = logging.getLogger("denoir")


class Repository:
    """The models of an engine, loaded and let go of as they are asked for.

    batcher: tells which have work under way, and runs what makes a model warm.
    """

    def __init__(self, engine: Engine, batcher: Batcher):
        self.engine, self.batcher = engine, batcher
        self.loading: dict[str, asyncio.Task[Loaded]] = {}
        self.one_at_a_time = asyncio.Lock()  # as what each takes is measured
        self.used: dict[str, int] = {}
        self.turns = itertools.count(1)
        self.refused: set[str] = set()

    async def find(self, name: str) -> Loaded:
        """The model called `name` or `name@version`, loaded if it is not. Raises UnknownModel, CheckpointError."""
        entry = self.engine.catalog.find(name)
        title = entry.description.title
        self.used[title] = next(self.turns)
        if title not in self.loading and title in self.engine.loaded:
            return self.engine.loaded[title]
        if title not in self.loading:
            self.loading[title] = asyncio.create_task(self.load(entry))
            self.loading[title].add_done_callback(partial(self.was_loaded, title))
        return await asyncio.shield(self.loading[title])  # others wait for it who have not hung up

    def was_loaded(self, title: str, task: asyncio.Task[Loaded]) -> None:
        self.loading.pop(title, None)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s can't be loaded: %s", title, error)

    async def load(self, entry: Entry) -> Loaded:
        """Loads a model, makes it warm and learns how fast it is. Raises CheckpointError."""
        title = entry.description.title
        async with self.one_at_a_time:
            try:
                self.make_room(self.engine.sizes.get(title) or (entry.folder / WEIGHTS).stat().st_size)
                loaded = await asyncio.to_thread(self.engine.load, entry, apart=True)
                await self.warm(title)
                await measure(self.engine, self.batcher, title)
            except Exception as error:
                self.engine.unload(title)
                if isinstance(error, CheckpointError):
                    raise
                raise CheckpointError(f"{title} can't be used: {error}") from error
            self.make_room(but=title)
        return loaded

    async def warm(self, *titles: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self.batcher.thread, self.engine.warm_up, *titles)

    def make_room(self, size: int = 0, but: str = "") -> None:
        """Lets go of those that were asked for the longest ago, until there is room for `size` bytes; never of one with
        work under way."""
        busy = {job.kind.model for job in self.batcher.jobs} | {but}  # type: ignore[attr-defined]
        for title in sorted(self.engine.loaded, key=lambda title: self.used.get(title, 0)):
            if self.engine.held + size <= self.engine.limit:
                return
            if title not in busy:
                self.engine.unload(title)

    async def watch(self, seconds: float) -> None:
        """Looks at the shelf every so many seconds, without end."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
            except Exception:
                log.exception("the shelf can't be looked at")

    async def look(self) -> None:
        """Takes in what is new on the shelf, and lets go of what is no longer there."""
        fresh, errors = await asyncio.to_thread(Catalog.readable, *self.engine.shelves)
        for error in errors:
            self.refuse(error)
        before = self.engine.catalog.entries
        for title, entry in fresh.entries.items():
            if title not in before:
                await self.take_in(entry)
            elif entry.description.sha256 != before[title].description.sha256:
                self.refuse(CheckpointError(f"{title}: other weights than before; a new version is asked for"))
        for title in [title for title, entry in before.items() if title not in fresh.entries and gone(entry)]:
            log.info("%s is no longer on the shelf", title)
            self.engine.forget(title)

    async def take_in(self, entry: Entry) -> None:
        """Makes a model known once it can be used; whoever asks by its name alone gets it from then on."""
        try:
            if self.engine.preload:
                await self.load(entry)
            else:
                await asyncio.to_thread(self.engine.check, entry)
        except (CheckpointError, OSError) as error:
            self.refuse(error)
        else:
            self.engine.add(entry)
            log.info("%s has come to the shelf", entry.description.title)

    def refuse(self, error: Exception) -> None:
        """Tells, once, of a checkpoint that can't be used."""
        if str(error) not in self.refused:
            self.refused.add(str(error))
            metrics.REFUSALS.inc()
            log.error("a checkpoint on the shelf is refused: %s", error)


def gone(entry: Entry) -> bool:
    """Whether a checkpoint was taken away, and not the whole shelf with it, as when a disk is not there for a while."""
    return not (entry.folder / CONFIG).exists() and entry.folder.parent.is_dir()


async def measure(engine: Engine, batcher: Batcher, *titles: str) -> None:
    """One full batch of all there is to ask of those models, or of all, so that the batcher knows each rate before
    anybody waits.

    Raises RuntimeError, with its name, for a model that can't even do that.
    """
    for kind, cost, payload in engine.examples(*titles):
        try:
            async with batcher.own(kind) as job:
                job.timer.reschedule(None)  # there is nothing yet that could tell how long it may take
                async for _ in job.answers(kind, cost, [payload] * engine.capacity(kind)):
                    pass
        except Exception as error:
            raise RuntimeError(f"{kind.model} fails at its first {kind.task}: {error}") from error
