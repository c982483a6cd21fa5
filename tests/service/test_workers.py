"""Supervisors with light workers; and the real thing, which is slow."""

import asyncio
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import SAMPLES
from serving import cpu_seconds

from service import workers
from service.settings import Settings
from tests.service import workers_at_work
from tests.service.conftest import until
from tests.test_journey import NOISY, started

PATIENCE = 60
REPLACED = 15.0
"""Seconds within which a worker is replaced."""


class Supervised:
    """A supervisor in a thread, and what its workers answer."""

    def __init__(self, work: workers.Work, **others: Any):
        settings = Settings(**({"port": 0, "workers": 2, "threads": 6, "max_bodies": 2**20, "grace": 0} | others))
        self.supervisor = workers.Supervisor(settings, work)
        self.port = self.supervisor.listener.getsockname()[1]
        self.codes: list[int] = []
        self.thread = threading.Thread(target=lambda: self.codes.append(self.supervisor.run()))
        self.thread.start()

    def ask(self) -> list[int]:
        """(process number, threads, bytes of bodies) of the worker that answers; nothing where none does."""
        return [int(word) for word in self.told()[:3]]

    def told(self) -> list[str]:
        """The same in words, and its device."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
                return client.recv(100).decode().split()
        except ConnectionError:
            return []

    def both(self) -> set[int]:
        """The process numbers of two workers, once they are there."""
        found: set[int] = set()
        until(lambda: len(found) == 2 or bool(found.update(self.ask()[:1])))
        return found

    def code(self) -> int:
        """What it ends with."""
        self.thread.join(PATIENCE)
        return self.codes[0]

    def end(self) -> int:
        self.supervisor.tell(signal.SIGTERM, None)
        return self.code()


@pytest.fixture
def supervised() -> Iterator[Callable[[workers.Work], Supervised]]:
    """`supervised(work)` -> two workers that do that."""
    made: list[Supervised] = []

    def one(work: workers.Work, **settings: Any) -> Supervised:
        made.append(Supervised(work, **settings))
        return made[-1]

    yield one
    for each in made:
        each.end()


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_devices_are_taken_in_turn_by_a_worker_each_at_least_and_again_by_who_replaces_one(supervised):
    three = supervised(workers_at_work.work, workers=1, devices=("cuda:0", "cpu", "cuda:0"))
    found: dict[str, str] = {}

    def all_there(count: int) -> bool:
        told = three.told()
        found.update({told[0]: told[3]} if told else {})
        return len(found) >= count

    until(lambda: all_there(3))
    assert sorted(found.values()) == ["cpu", "cuda:0", "cuda:0"]
    (lost,) = (int(number) for number, device in found.items() if device == "cpu")
    os.kill(lost, signal.SIGKILL)
    until(lambda: all_there(4))
    assert sorted(found.values()) == ["cpu", "cpu", "cuda:0", "cuda:0"]


def test_workers_serve_from_one_port_each_with_its_share_and_end_together(supervised):
    pair = supervised(workers_at_work.work)
    numbers = pair.both()
    assert pair.ask()[1:] == [3, 2**19]
    assert pair.end() == 0
    assert not any(map(alive, numbers))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", pair.port))


def test_a_worker_that_dies_is_replaced_and_the_other_serves_meanwhile(supervised):
    pair = supervised(workers_at_work.work)
    one, other = pair.both()
    os.kill(one, signal.SIGKILL)
    until(lambda: not alive(one))
    found: set[int] = set()
    while not found - {one, other}:
        found.update(pair.ask()[:1])  # hangs, and then fails, where nobody answers
    assert len(pair.both()) == 2
    assert pair.end() == 0


def test_a_worker_that_can_not_be_replaced_at_first_is_tried_again(supervised, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    pair = supervised(workers_at_work.once)
    one, _ = pair.both()
    os.kill(one, signal.SIGKILL)
    until(lambda: len((tmp_path / "starts").read_text().splitlines()) == 5)
    assert one not in pair.both()
    assert pair.end() == 0


def short_of_processes(monkeypatch: pytest.MonkeyPatch, after: int = 0) -> list[int]:
    """The system gives so many more processes, and then none. Returns a list that grows with each that is asked for."""
    asked: list[int] = []
    start = workers.SPAWN.Process.start

    def refused(process: Any) -> None:
        asked.append(len(asked))
        if len(asked) > after:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        start(process)

    monkeypatch.setattr(workers.SPAWN.Process, "start", refused)
    return asked


def test_a_worker_for_which_there_is_no_process_is_tried_again(supervised, monkeypatch: pytest.MonkeyPatch):
    pair = supervised(workers_at_work.work)
    one, other = pair.both()
    with monkeypatch.context() as short:
        asked = short_of_processes(short)
        os.kill(one, signal.SIGKILL)
        until(lambda: len(asked) == 2)
        assert pair.ask()[0] == other
    assert other in pair.both()
    assert pair.end() == 0


def test_where_there_is_no_process_from_the_start_the_service_ends(supervised, monkeypatch: pytest.MonkeyPatch):
    asked = short_of_processes(monkeypatch, after=1)
    pair = supervised(workers_at_work.work)
    assert pair.code() == 1
    assert len(asked) == 2
    assert not alive(pair.supervisor.workers[0].process.pid)


def test_a_worker_that_hangs_is_replaced(supervised, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    monkeypatch.setattr(workers, "SILENCE", 1.0)
    pair = supervised(workers_at_work.hang)
    until(lambda: pair.supervisor.workers and all(worker.up for worker in pair.supervisor.workers))
    hanging = {worker.process.pid for worker in pair.supervisor.workers}
    assert not pair.both() & hanging
    assert not any(map(alive, hanging))
    assert pair.end() == 0


def test_a_worker_that_does_not_come_up_is_replaced(supervised, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    pair = supervised(workers_at_work.stick)
    one, _ = pair.both()
    os.kill(one, signal.SIGKILL)
    until(lambda: len((tmp_path / "starts").read_text().splitlines()) == 3)
    (stuck,) = [worker for worker in pair.supervisor.workers if not worker.up]
    assert not stuck.hangs, "there is time yet"
    stuck.last -= pair.supervisor.settings.start_deadline
    assert not pair.both() & {one, stuck.process.pid}
    assert not alive(stuck.process.pid)
    assert pair.end() == 0


@pytest.mark.parametrize(("slept", "hangs"), [(True, False), (False, True)])
def test_no_worker_is_blamed_for_what_its_supervisor_slept(supervised, slept: bool, hangs: bool):
    pair = supervised(workers_at_work.stay, start_deadline=90)  # gives one sign of life
    until(lambda: pair.supervisor.workers and all(worker.up for worker in pair.supervisor.workers))
    pair.end()
    then = time.monotonic() - 100
    pair.supervisor.looked = then if slept else time.monotonic()
    one, other = pair.supervisor.workers
    one.last = other.last = then
    other.up = False  # as if it were still on its way
    pair.supervisor.allow_for_sleep()
    assert (one.hangs, other.hangs) == (hangs, hangs)


def test_a_server_gives_signs_of_life_for_as_long_as_its_loop_goes_round(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "BEAT", 0.01)
    ear, mouth = workers.SPAWN.Pipe(duplex=False)

    async def go_round() -> None:
        workers.beat(mouth)
        await asyncio.sleep(0)
        assert ear.poll()
        for _ in range(3):
            await asyncio.to_thread(ear.recv_bytes)
        time.sleep(0.1)  # noqa: ASYNC251
        assert not ear.poll(), "whoever is busy says nothing"

    asyncio.run(go_round())


@pytest.mark.parametrize("work", [workers_at_work.fail, workers_at_work.sleep])
def test_where_none_can_start_the_service_ends(supervised, work: workers.Work):
    assert supervised(work, start_deadline=2.0).code() == 1


def test_who_does_not_hear_is_killed_and_that_is_told(supervised, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    pair = supervised(workers_at_work.stay)
    until(lambda: pair.supervisor.workers and all(worker.up for worker in pair.supervisor.workers))
    assert pair.end() == 1


ENDING = """
import os, signal, sys
from functools import partial
from types import SimpleNamespace
from service import guards, workers
from service.settings import Settings

class Late:
    def __del__(self, again=partial(os.kill, os.getpid(), signal.SIGTERM)):
        again()

async def app(scope, receive, send):
    for name in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{name}.complete"})

app.state = SimpleNamespace(duty=guards.Duty())
sys.modules["service.app"] = SimpleNamespace(create_app=lambda settings: app)
late = Late()
settings = Settings(port=0)
sys.exit(workers.serve(settings, workers.bound(settings), lambda: os.kill(os.getpid(), signal.SIGTERM)))
"""
"""A worker that is told to end as soon as it is up, and again when nothing is left of its interpreter."""


def test_a_worker_is_told_to_end_once_more_at_its_very_end_and_ends_well():
    done = subprocess.run([sys.executable, "-c", ENDING], cwd=SAMPLES.parent, timeout=PATIENCE)
    assert done.returncode == 0


STARTING = """
import asyncio, sys, time
from types import SimpleNamespace
from service import guards, workers
from service.settings import Settings

async def app(scope, receive, send):
    await receive()
    print("loading", flush=True)
    await asyncio.to_thread(time.sleep, 600)

app.state = SimpleNamespace(duty=guards.Duty())
sys.modules["service.app"] = SimpleNamespace(create_app=lambda settings: app)
settings = Settings(port=0)
sys.exit(workers.serve(settings, workers.bound(settings)))
"""
"""A service whose models take long to load."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_while_models_load_it_ends_at_once_and_well(number: int):
    starting = [sys.executable, "-c", STARTING]
    with subprocess.Popen(starting, cwd=SAMPLES.parent, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "loading\n"
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_no_more_connections_than_files_can_be_open(monkeypatch: pytest.MonkeyPatch):
    granted: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: granted.append(limits))
    for soft, hard, wanted, given, possible in (
        (1024, resource.RLIM_INFINITY, 2000, 4256, 2000),
        (1024, 4096, 2000, 4096, 1920),
        (9000, 9000, 2000, None, 2000),
        (50, 100, 50, 100, 1),
    ):
        granted.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=(soft, hard): limits)
        assert workers.possible(Settings(max_connections=wanted)).max_connections == possible
        assert granted == ([(given, hard)] if given else [])


@pytest.mark.slow
def test_told_to_end_under_load_two_workers_lose_nothing_they_had_taken(tmp_path: Path):
    """What was let in is answered, who comes later is told so; and nothing is left behind."""
    answers: list[httpx2.Response] = []

    def load(base: httpx2.URL) -> None:
        with httpx2.Client(base_url=base, timeout=60) as client:
            while not answers or answers[-1].status_code == 200:
                try:
                    answers.append(client.post("/denoise?sigma=25", content=NOISY))
                except httpx2.ConnectError:
                    return

    with started(tmp_path, DENOIR_WORKERS="2", DENOIR_DEVICE="cpu") as (client, process):
        clients = [threading.Thread(target=load, args=(client.base_url,)) for _ in range(6)]
        for thread in clients:
            thread.start()
        until(lambda: len(answers) >= 6)
        process.send_signal(signal.SIGTERM)
        for thread in clients:
            thread.join(PATIENCE)
        assert process.wait(PATIENCE) == 0
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert sum(answer.status_code == 200 for answer in answers) >= 6


@pytest.mark.slow
def test_a_real_worker_that_dies_is_replaced_and_all_end_with_their_supervisor(tmp_path: Path):
    with started(tmp_path, DENOIR_WORKERS="2", DENOIR_DEVICE="cpu") as (client, process):
        until(lambda: len(workers_of(process.pid)) == 2)
        one, other = workers_of(process.pid)
        while not (at_rest({one}) and at_rest({other})):
            assert process.poll() is None
        began, busy = time.monotonic(), computed()
        os.kill(one, signal.SIGKILL)
        while not (found := set(workers_of(process.pid)) - {one, other}):
            # Each on a connection of its own: those of the dead one are lost.
            assert httpx2.get(client.base_url.join("/readyz"), timeout=PATIENCE).status_code == 200
            assert time.monotonic() < began + PATIENCE
        os.kill(other, signal.SIGSTOP)
        answer = httpx2.get(client.base_url.join("/readyz"), timeout=4 * PATIENCE)
        assert answer.status_code == 200, "from the new one; the other does nothing"
        took, own = time.monotonic() - began, cpu_seconds(*found)
        others = computed() - busy - own
        print(f"a new worker was ready after {took:.1f} s, of which it computed {own:.1f}, and others {others:.1f}")
        assert took - others < REPLACED, "what others take of the machine meanwhile is not its fault"
        with suppress(ProcessLookupError):  # on a busy machine it was taken for hanging meanwhile
            os.kill(other, signal.SIGKILL)
        assert (
            httpx2.post(client.base_url.join("/denoise?sigma=25"), content=NOISY, timeout=PATIENCE).status_code == 200
        )
        children = workers_of(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert not any(map(alive, children))


def computed() -> float:
    """Seconds that all processors of the machine have computed."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def at_rest(found: set[int]) -> bool:
    """Whether a worker has started, and has nothing to do any more."""
    (worker,) = found
    before = cpu_seconds(worker)
    time.sleep(1.0)
    return before > 1 and cpu_seconds(worker) - before < 0.1


def workers_of(parent: int) -> list[int]:
    """The process numbers of a supervisor's workers."""
    found = subprocess.run(
        ["ps", "-ww", "--ppid", str(parent), "-o", "pid=,args="], capture_output=True, text=True
    ).stdout
    return [int(line.split()[0]) for line in found.splitlines() if "spawn_main" in line]
