"""What runs a network fastest on this machine's CPU: `python -m benchmarks.engine`, or `make bench-engine`.

Six paths (PyTorch eager, torch.compile, a program compiled ahead by AOTInductor, OpenVINO, ONNX Runtime, kernels of our
own) in 32 and 16 bits, beside what the engine itself does, from raw pixels to raw pixels. Each runs in a process of its
own; their turns are taken one after another, round by round, so that what else the machine does falls on all of them.
Needs the extra `bench` and, for two of the paths, a C++ compiler.
"""

import argparse
import contextlib
import importlib.util
import io
import logging
import multiprocessing
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import SHAPES, Shape
from benchmarks.speed import timed
from models import checkpoints, compiled, data, winograd
from models.catalog import SHIPPED, Catalog
from models.corruptions import Gaussian
from models.data import as_floats
from models.eager import Eager, Program
from models.evaluation import as_markdown, spoilt_pixels
from models.inference import restored, tiling_for, windows_of
from models.restore import Tiling
from models.scores import psnr
from models.sessions import Session
from models.tasks import TASKS
from service.settings import cores_given

BYTES = np.dtype(np.uint8)
SAMPLES = Path(__file__).parent.parent / "samples"
CPU = torch.device("cpu")
Arrays = tuple[np.ndarray, ...]
Row = dict[str, float | str]


def whole(needs: Any, side: int = 512, batch: int = 1) -> Arrays:
    """A noisy picture as a task takes it; 16 pictures where a network takes one size alone."""
    height, width = needs.size or (side, side)
    batch = 16 if needs.size else batch
    tile = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, needs.channels), np.uint8)
    rows = tile.repeat(4, 0).repeat(4, 1)[:height, :width]
    tiles = np.repeat(rows[None], batch, axis=0)
    return tiles, np.full(batch, 25, np.float32), np.array(255, np.float32)


def arguments(shape: Shape, network: Any, side: int = 512, batch: int = 1) -> Arrays:
    """What the shape's task is timed on."""
    return whole(network.needs, side, batch) if shape.task == "restore" else TASKS["decode"].example(network.needs)


# ---- the paths: (module, example, 16 bits?, folder of what may be kept, first start?) -> program


def eager(module: nn.Module, example: Arrays, low: bool, kept: Path, cold: bool) -> Program:
    return Eager(module.to(torch.bfloat16 if low else torch.float32, memory_format=torch.channels_last), CPU)


def inductor(module: nn.Module, example: Arrays, low: bool, kept: Path, cold: bool) -> Program:
    import torch._inductor.config as settings

    settings.freezing = True
    run = eager(module, example, low, kept, cold)
    run.module = torch.compile(module)  # type: ignore[attr-defined]
    return run


def ahead(module: nn.Module, example: Arrays, low: bool, kept: Path, cold: bool) -> Program:
    import torch._inductor.config as settings
    from torch._inductor import aoti_compile_and_package, aoti_load_package

    settings.freezing = True
    run = eager(module, example, low, kept, cold)
    path = str(kept / "ahead.pt2")
    if cold:
        with torch.no_grad():
            floats = tuple(torch.from_numpy(array).float() for array in example)
            aoti_compile_and_package(torch.export.export(module, floats), package_path=path)
    run.module = aoti_load_package(path)  # type: ignore[attr-defined]
    return run


def openvino(module: nn.Module, example: Arrays, low: bool, kept: Path, cold: bool) -> Program:
    task = "restore" if len(example) == 3 else "decode"
    graph = None if cold else compiled.kept(kept, "graph")
    if graph is None:
        given = TASKS[task].example(module.network.needs)  # type: ignore[union-attr]
        floats = [torch.from_numpy(array).float() for array in given]
        graph = compiled.graph_of(module, floats, TASKS[task].moving(module.network.needs))  # type: ignore[union-attr]
        compiled.keep(kept, "graph", graph, compiled.fits_halves(module))
    return compiled.Compiled(graph, low, torch.get_num_threads())


def onnx(module: nn.Module, example: Arrays, low: bool, kept: Path, cold: bool) -> Program:
    import onnxruntime

    path = kept / "graph.onnx"
    if cold:
        floats = tuple(torch.from_numpy(array).float() for array in example)
        torch.onnx.export(module, floats, str(path), dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*arrays: np.ndarray, answer: np.dtype) -> Arrays:
        given = {name: array.astype(np.float32) for name, array in zip(names, arrays, strict=True)}
        first, *others = session.run(None, given)
        return np.asarray(first).astype(answer), *(np.asarray(other) for other in others)

    return run


def kernels(module: nn.Module, example: Arrays, low: bool, kept: Path, cold: bool) -> Program:
    if not any(map(winograd.suits, module.modules())) or not winograd.kernels():
        raise ValueError("there are no kernels, or no blocks for them")
    task = "restore" if len(example) == 3 else "decode"
    return Eager(TASKS[task].module(winograd.frozen(module.network)), CPU)


def ours(module: nn.Module, example: Arrays, low: bool, kept: Path, cold: bool) -> Program:
    task = "restore" if len(example) == 3 else "decode"
    return Session(module.network, CPU, weights="same", graphs=kept).program(task)


PATHS: dict[str, tuple[Callable[[nn.Module, Arrays, bool, Path, bool], Program], bool]] = {
    "eager, fp32": (eager, False),
    "eager, bf16": (eager, True),
    "torch.compile, fp32": (inductor, False),
    "torch.compile, bf16": (inductor, True),
    "AOTInductor, fp32": (ahead, False),
    "AOTInductor, bf16": (ahead, True),
    "OpenVINO, fp32": (openvino, False),
    "OpenVINO, bf16": (openvino, True),
    "ONNX Runtime, fp32": (onnx, False),
    "Winograd's kernels, fp32": (kernels, False),
    "the engine": (ours, False),
}
"""ONNX Runtime has no convolution in bf16 for CPUs. `the engine` chooses its own precision."""

NEEDS = {
    "eager": ("torch",),
    "torch.compile": ("torch",),
    "AOTInductor": ("torch",),
    "OpenVINO": ("torch", "openvino"),
    "ONNX Runtime": ("torch", "onnxruntime", "onnx", "onnxscript", "onnx_ir"),
}


# ---- a path at work, in a process of its own


def work(pipe: Connection, name: str, path: str, kept: Path, cold: bool, threads: int) -> None:
    """Prepares one path for one network, then answers: side and batch in, seconds and the answer out."""
    began = time.perf_counter()
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)
            run, args = prepared(name, path, kept, cold, threads)
            answer = run()
        pipe.send((time.perf_counter() - began, answer))
        while (asked := pipe.recv()) is not None:
            run = args(*asked)
            run()
            seconds = []
            while len(seconds) < 3 or (sum(seconds) < 0.5 and len(seconds) < 100):
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)
            pipe.send(median(seconds))
    except Exception:
        pipe.send(traceback.format_exc(limit=1).strip().rpartition("\n")[2][:100])


def prepared(name: str, path: str, kept: Path, cold: bool, threads: int) -> tuple[Callable, Callable]:
    """A call on the whole picture, and what makes a call on so many tiles of a side."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    shape = SHAPES[name]
    network = shape.make()
    make, low = PATHS[path]
    if low and make is not openvino and not network.needs.low_precision:  # type: ignore[union-attr]
        raise ValueError("its network is written for fp32")
    example = arguments(shape, network)
    program = make(TASKS[shape.task].module(network).eval(), example, low, kept, cold)

    def call(side: int = 512, batch: int = 1) -> Callable[[], np.ndarray]:
        given = arguments(shape, network, side, batch)
        return lambda: program(*given, answer=BYTES)[0]

    return call(), call


class Worker:
    """One such process. seconds: from its start to its first answer; failed: why there is none."""

    def __init__(self, name: str, path: str, kept: Path, cold: bool, threads: int):
        self.path = path
        self.pipe, theirs = multiprocessing.Pipe()
        arguments = (theirs, name, path, kept, cold, threads)
        self.process = multiprocessing.get_context("spawn").Process(target=work, args=arguments, daemon=True)
        began = time.perf_counter()
        self.process.start()
        told = self.pipe.recv()
        self.seconds = time.perf_counter() - began
        self.failed = told if isinstance(told, str) else ""
        self.answer = None if self.failed else told[1]

    def timed(self, side: int, batch: int) -> float:
        """Seconds of one call."""
        self.pipe.send((side, batch))
        told = self.pipe.recv()
        return told if isinstance(told, float) else float("nan")

    def end(self) -> None:
        if not self.failed:
            self.pipe.send(None)
        self.process.join(10)
        self.process.kill()


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Variables that the processes started meanwhile have."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


# ---- the tables


def paths_table(name: str, paths: list[str], rounds: int, threads: int) -> list[Row]:
    """One network, whole pictures of 512 px (or 16 of its own size), by every path."""
    with tempfile.TemporaryDirectory() as folder:
        workers, warm = [], {}
        for path in paths:
            kept = Path(folder, path.replace(" ", "-"))
            kept.mkdir()
            with environment(TORCHINDUCTOR_CACHE_DIR=str(kept / "inductor")):
                worker = Worker(name, path, kept, True, threads)
                workers.append(worker)
                if not worker.failed:
                    again = Worker(name, path, kept, False, threads)
                    warm[path] = again.seconds
                    again.end()
        alive = [worker for worker in workers if not worker.failed]
        turns: list[list[float]] = [[worker.timed(512, 1) for worker in alive] for _ in range(rounds)]
        seconds = {worker.path: median(times) for worker, times in zip(alive, zip(*turns, strict=True), strict=True)}
        rows = [row_of(worker, workers[0], name, seconds, warm) for worker in workers]
        for worker in workers:
            worker.end()
    return rows


def row_of(worker: Worker, reference: Worker, name: str, seconds: dict[str, float], warm: dict[str, float]) -> Row:
    """What is told of one path."""
    row: Row = {"network": name, "path": worker.path}
    if worker.failed:
        return row | dict.fromkeys(COLUMNS, "") | {"remark": worker.failed}
    off = np.abs(worker.answer.astype(float) - reference.answer.astype(float))
    pixels = worker.answer.shape[0] * worker.answer.shape[1] * worker.answer.shape[2] / 1e6
    best = min(second for path, second in seconds.items() if may_serve(path, name))
    numbers = (
        1000 * seconds[worker.path],
        pixels / seconds[worker.path],
        best / seconds[worker.path],
        float(off.max()),
        float(np.sqrt((off**2).mean())),
        worker.seconds,
        warm[worker.path],
    )
    return row | dict(zip(COLUMNS, numbers, strict=True)) | {"remark": ""}


def may_serve(path: str, name: str) -> bool:
    """Whether a path is what the engine is measured against: in 16 bits only where the network may run so."""
    return path != "the engine" and (not PATHS[path][1] or SHAPES[name].make().needs.low_precision)  # type: ignore


COLUMNS = ("ms", "MP/s", "of the best", "off, most", "off, rms", "first start, s", "next start, s")


def tiles_table(name: str, rounds: int, threads: int) -> list[Row]:
    """Tiles of some sides and batches through the engine: pixels computed, and pixels kept, a second."""
    needs: Any = SHAPES[name].make().needs
    settings = [(side, batch) for side in (128, 256, 384, 512, 768, 1024) for batch in (1, 2, 4, 8)]
    settings = [(side, batch) for side, batch in settings if side * side * batch <= 2 * 1024 * 1024]
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(name, "the engine", Path(folder), True, threads)
        turns = [[worker.timed(side, batch) for side, batch in settings] for _ in range(rounds)]
        worker.end()
    rows: list[Row] = []
    for (side, batch), times in zip(settings, zip(*turns, strict=True), strict=True):
        speed = batch * side * side / 1e6 / median(times)
        share = (max(0, side - 2 * needs.halo) / side) ** 2
        rows.append({"tile": str(side), "batch": str(batch), "MP/s": speed, "kept, MP/s": speed * share})
    return rows


def capacity_row(name: str, rows: list[Row]) -> Row:
    """What a network is worth: its weights and multiplications, and how many of them the engine does in a second."""
    shape = SHAPES[name]
    network: Any = shape.make()
    module, given = TASKS[shape.task].module(network).eval(), arguments(shape, network)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        answer = module(*(torch.from_numpy(array).float() for array in given))[0]
    pixels = answer.shape[0] * answer.shape[1] * answer.shape[2]
    operations = counter.get_total_flops() / 2
    served = next((row for row in rows if row["path"] == "the engine" and not row["remark"]), None)
    seconds = float(served["ms"]) / 1000 if served else float("nan")
    return {
        "network": name,
        "weights, M": sum(p.numel() for p in network.parameters()) / 1e6,
        "kMAC a pixel": operations / pixels / 1000,
        "s/MP": seconds / (pixels / 1e6),
        "GMAC/s": operations / seconds / 1e9,
    }


def precision_tables() -> tuple[list[Row], list[Row]]:
    """What fewer bits cost each shipped restorer that is told a level: PSNR on the sample pictures, the level told; and
    what they save: milliseconds for a tile of 512 px, in turns."""
    decibels: list[Row] = []
    seconds: list[Row] = []
    pictures = data.load(SAMPLES).train
    for title in Catalog.of(SHIPPED).titles:
        network = checkpoints.load(Catalog.of(SHIPPED).find(title).folder).network
        if not network.needs.level:
            continue
        sessions = in_precisions(network)
        for sigma in (2.0, 5.0, 15.0, 25.0, 50.0, 75.0):
            row: Row = {"model": title, "sigma": sigma}
            for name, session in sessions.items():
                row[name] = float(np.mean([score(session, picture, sigma) for picture in pictures]))
            decibels.append(row)
        seconds.append({"model": title} | milliseconds(sessions))  # type: ignore[arg-type]
    return decibels, seconds


def in_precisions(network: Any) -> dict[str, Session]:
    """A network that is told a level in 32 bits, in 16 where it may, and with some of these rounded to 8 as it is
    served."""
    exact = type(network)(replace(network.config, reaches=()))
    exact.load_state_dict(network.state_dict())
    sessions = {"fp32": Session(exact, CPU), "bf16": Session(exact, CPU), "as served": Session(network, CPU)}
    sessions["fp32"].low_precision = False
    return sessions


def milliseconds(sessions: dict[str, Session]) -> dict[str, float]:
    """Median milliseconds that each takes for a tile of 512 px."""
    tiles, levels, _ = whole(sessions["fp32"].needs)
    runs = (partial(session.restore, tiles, levels) for session in sessions.values())
    return {name: 1000 * seconds for name, seconds in zip(sessions, timed(*runs, rounds=11), strict=True)}


def score(session: Session, picture: Any, sigma: float) -> float:
    """PSNR in dB of one picture restored."""
    noisy = spoilt_pixels(picture, Gaussian(sigma, sigma), 0)
    answer = restored(session, noisy, sigma, tiling_for(session.needs))
    floats = as_floats(torch.from_numpy(answer).permute(2, 0, 1)[None])
    return float(psnr(floats, as_floats(picture[None])))


def seconds_table(height: int = 2000, width: int = 2000) -> list[Row]:
    """What tiles of several sides cost on a photograph, beside the pixels that their halo adds."""
    network = checkpoints.load(Catalog.of(SHIPPED).find("photo").folder).network
    session = Session(network, CPU)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    rows: list[Row] = []
    for tile in (256, 384, 512, 768, 896, 1024, 1280):
        tiling = Tiling(tile, session.needs.halo, session.needs.multiple)
        windows = windows_of(session.needs, height, width, tiling, 25.0)
        computed = sum(window.shape[0] * window.shape[1] for window in windows)
        down, across = windows[0].shape
        restored(session, pixels[:down, :across], 25.0, tiling)
        began = time.perf_counter()
        restored(session, pixels, 25.0, tiling)
        took = time.perf_counter() - began
        row: Row = {"tile": str(tile), "windows": str(len(windows)), "computed / kept": computed / (height * width)}
        rows.append(row | {"s/MP kept": took / (height * width / 1e6), "s/MP computed": took / (computed / 1e6)})
    return rows


def carried() -> list[Row]:
    """Megabytes that each path brings along, as installed here."""
    return [
        {"path": path, "packages": ", ".join(packages), "MB": sum(map(size_of, packages))}
        for path, packages in NEEDS.items()
    ]


def size_of(package: str) -> float:
    """Megabytes of an installed package; 0 where it is not."""
    found = importlib.util.find_spec(package)
    if not found or not found.origin:
        return 0.0
    return sum(file.stat().st_size for file in Path(found.origin).parent.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    """Prints the tables."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--networks", nargs="*", default=list(SHAPES), choices=list(SHAPES), metavar="NETWORK")
    asked.add_argument("--paths", nargs="*", default=list(PATHS), choices=list(PATHS), metavar="PATH")
    given = asked.parse_args()
    threads = cores_given()
    torch.set_num_threads(threads)
    print(f"{threads} threads\n\n## Paths, whole pictures of 512 px, or 16 of the network's own size\n")
    capacity: list[Row] = []
    for name in given.networks:
        rows = paths_table(name, given.paths, given.rounds, threads)
        capacity.append(capacity_row(name, rows))
        print(as_markdown(rows) + "\n", flush=True)
    print("## What a shape gives\n\n" + as_markdown(capacity) + "\n")
    print("## What is carried\n\n" + as_markdown(carried()))
    print("\n## Tiles of photo, random pixels\n\n" + as_markdown(tiles_table("photo", given.rounds, threads)))
    print("\n## A photograph of 4 megapixels, by tile\n\n" + as_markdown(seconds_table()))
    print("\n## Fewer bits\n\n" + "\n\n".join(map(as_markdown, precision_tables())))


if __name__ == "__main__":
    main()
