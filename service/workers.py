"""The processes that serve: one, or several that share a listening socket and are replaced where they die.

What a dead one would have taken is taken by the others, since it is the socket that is shared, and it stays open here.
One that starts, or has died, does not listen: so whoever answers `/readyz` tells the truth of itself. A first worker
that can't start ends it all; a later one is tried again, for as long as the others serve. One that is up tells so again
and again from its event loop; when it has been silent for too long it answers nobody, and is replaced like a dead one.
So is one that takes too long to come up.
"""

import asyncio
import logging
import multiprocessing
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from socket import socket
from types import FrameType

from service import metrics, telemetry
from service.protocol import Server, configured
from service.settings import Settings

log = logging.getLogger("denoir")

Work = Callable[[Settings, socket, Connection], None]
"""What a worker does: serves from a socket that is bound, and says so over the connection, every `BEAT`."""

PATIENCE = 15.0
"""Seconds beyond the grace for a worker that was told to end."""
PAUSE = 1.0
"""Seconds between the starts of a worker that doesn't come up, and between two tellings to end."""
LOOK = 0.2
"""Seconds between two looks at the workers."""
BEAT, SILENCE = 2.0, 30.0
"""Seconds between two signs of life of a worker that is up, and without any until it is taken for hanging. One that
starts gives none before it is up, and has `start_deadline`."""
SLEPT = 5.0
"""Seconds beyond that between two looks, after which it is this process that stood still."""
FILES = 256
"""Files that are open beside connections."""

SPAWN = multiprocessing.get_context("spawn")
ENDS = (signal.SIGTERM, signal.SIGINT)


def run(settings: Settings) -> int:
    """Serves until told to end. Returns the exit code: 0 where all ended in good order."""
    telemetry.write_lines()
    if settings.processes > settings.cores:
        log.warning("%d workers share %d cores: each waits for others", settings.processes, settings.cores)
    if settings.processes == 1:
        end = metrics.tell(settings.metrics_host, settings.metrics_port)
        try:
            return serve(settings.on(0), bound(settings))
        finally:
            end()
    with metrics.summed(settings.metrics_host, settings.metrics_port) as forget:
        supervisor = Supervisor(settings, work, forget)
        for number in ENDS:
            signal.signal(number, supervisor.tell)
        return supervisor.run()


def bound(settings: Settings) -> socket:
    """A socket on the address to serve from, which does not listen yet. Had before anything is loaded, as one that
    is taken ends the process."""
    return configured(None, settings).bind_socket()


def serve(settings: Settings, listener: socket, started: Callable[[], None] = lambda: None) -> int:
    """Serves in this process. Returns the exit code."""
    from service.app import create_app  # the supervisor can do without

    settings = settings.model_copy(update={"port": listener.getsockname()[1]})  # which the system may have chosen
    app = create_app(settings)
    server = Server(app, app.state.duty, possible(settings), started)
    for number in ENDS:
        # The server takes these while it runs and raises them again when it has drained: then they mean a clean end,
        # also when one more comes while the interpreter ends, which lets go of every handler that is its own.
        signal.signal(number, signal.SIG_IGN)
    server.run([listener])
    return 0 if server.started else 1


def work(settings: Settings, listener: socket, told: Connection) -> None:
    """One of several workers. It ends with its supervisor."""
    telemetry.write_lines()
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.exit(serve(settings, listener, lambda: beat(told)))


def beat(told: Connection) -> None:
    """Says that this process serves, and again for as long as the running loop goes round."""
    with suppress(OSError):  # there is no supervisor any more, of which another thread takes note
        told.send_bytes(b"up")
    asyncio.get_running_loop().call_later(BEAT, beat, told)


def end_with_parent() -> None:
    """Ends this process when its parent has; told again, as it may have been too young to hear it."""
    if parent := multiprocessing.parent_process():
        parent.join()
        while True:
            signal.raise_signal(signal.SIGTERM)
            time.sleep(PAUSE)


def possible(settings: Settings) -> Settings:
    """The settings with as many connections as the system lets have files; its softer limit is raised for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * settings.max_connections + FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    if granted == wanted:
        return settings
    connections = max(1, (granted - FILES) // 2)
    log.warning("the system lets %d files be open, and so %d connections", granted, connections)
    return settings.model_copy(update={"max_connections": connections})


class Worker:
    """One process, and whether it has come up."""

    def __init__(self, work: Work, settings: Settings, listener: socket):
        self.ear, mouth = SPAWN.Pipe(duplex=False)
        self.process = SPAWN.Process(target=work, args=(settings, listener, mouth))
        self.process.start()
        mouth.close()
        self.began = self.last = time.monotonic()
        self.up, self.heard = False, False
        self.start_deadline = settings.start_deadline

    def look(self) -> bool:
        """Whether it lives."""
        with suppress(EOFError, OSError):
            while self.ear.poll():
                self.up, self.last = bool(self.ear.recv_bytes()), time.monotonic()
        return self.process.is_alive()

    @property
    def hangs(self) -> bool:
        """Whether it was up and gives no sign of life, or should be up and isn't."""
        return time.monotonic() > self.last + (SILENCE if self.up else self.start_deadline)

    def tell_to_end(self) -> None:
        """Tells it once, if it is up; one that is not may not hear it, and is told each time."""
        if not self.heard:
            self.process.terminate()
            self.heard = self.up

    def end(self) -> int:
        """Its exit code, when it has been waited for, or was killed."""
        self.process.join(0)
        if self.process.is_alive():
            silent = time.monotonic() - self.last
            log.error("worker %s is killed, %d s after its start or last sign of life", self.process.pid, silent)
            self.process.kill()
            self.process.join()
        self.ear.close()
        return self.process.exitcode or 0


class Supervisor:
    """Keeps as many workers as are set, until it is told to end, and then sees that all have ended.

    forget: is told the process id of one that has died.
    """

    def __init__(self, settings: Settings, work: Work, forget: Callable[[int], None] = lambda pid: None):
        self.settings, self.work, self.forget = settings, work, forget
        self.listener = bound(settings)
        self.workers: list[Worker] = []
        self.told, self.been_up = False, False
        self.looked = time.monotonic()

    def run(self) -> int:
        """Returns the exit code."""
        failed = not self.all_started()
        while not self.told and not failed:
            wait([worker.process.sentinel for worker in self.workers if worker.process.is_alive()], LOOK)
            failed = not self.all_replaced()
        return self.end() or int(failed)

    def tell(self, number: int, frame: FrameType | None) -> None:
        """That it is to end."""
        self.told = True

    def all_started(self) -> bool:
        """Starts as many as are set. Returns False where the system lets one not start."""
        try:
            for number in range(self.settings.processes):
                self.workers.append(self.started(number))
        except OSError as error:
            log.error("a worker could not start: %s", error)
            return False
        return True

    def started(self, number: int) -> Worker:
        """Raises OSError where the system has no process, memory or file to give."""
        return Worker(self.work, self.settings.shared(number), self.listener)

    def all_replaced(self) -> bool:
        """Starts another for each that is dead or hangs. Returns False where there is no sense in it: none ever came
        up."""
        self.allow_for_sleep()
        dead = [worker for worker in self.workers if not worker.look() or worker.hangs]
        self.been_up = self.been_up or any(worker.up for worker in self.workers)
        for worker in dead:
            if not self.been_up:
                log.error("a worker could not start, with code %s", worker.end())
                return False
            if not self.told and time.monotonic() > worker.began + PAUSE:
                self.replace(worker)
        return True

    def replace(self, worker: Worker) -> None:
        """Starts another in the place of one that is dead or hangs; or leaves it there, dead, for one more pause."""
        number, code = self.workers.index(worker), worker.end()
        try:
            self.workers[number] = self.started(number)
        except OSError as error:
            log.error("worker %s died, with code %s, and no other can start: %s", worker.process.pid, code, error)
            worker.began = time.monotonic()
        else:
            log.error("worker %s died, with code %s: another one starts", worker.process.pid, code)
            self.forget(worker.process.pid or 0)

    def allow_for_sleep(self) -> None:
        """Blames no worker for seconds in which this process itself stood still, as in a container that is paused."""
        now = time.monotonic()
        if now > self.looked + LOOK + SLEPT:
            for worker in self.workers:
                worker.last = now
        self.looked = now

    def end(self) -> int:
        """Tells all to end, and kills what doesn't. Returns the exit code: 0 where each that was up ended well."""
        self.listener.close()
        until = time.monotonic() + self.settings.grace + PATIENCE
        while (alive := [worker for worker in self.workers if worker.look()]) and time.monotonic() < until:
            for worker in alive:
                worker.tell_to_end()
            wait([worker.process.sentinel for worker in alive], PAUSE)
        codes = [(worker.end(), worker.up) for worker in self.workers]
        return int(any(code for code, up in codes if up))
