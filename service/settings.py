"""One typed class for everything that can be set; the only reader of the environment (`DENOIR_*`)."""

import os
import re
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from models.restore import TILE

MIB = 2**20
MOST_SAMPLES = 1024
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
DEVICES = "auto, cpu, cuda or cuda:N"


class Spelling(NamedTuple):
    """What each of a list must be, and that in words."""

    pattern: re.Pattern[str]
    words: str


SPELLED = {
    "devices": Spelling(DEVICE, DEVICES),
    "origins": Spelling(
        re.compile(r"https?://[a-z0-9.\-\[\]:]+"),
        "a scheme, a host and, where it isn't the usual one, a port: https://example.org",
    ),
    "hosts": Spelling(
        re.compile(r"[a-z0-9.\-_]+|\[[0-9a-f.:]+\]"),
        "a name or an address, without a port: example.org, 127.0.0.1 or [::1]",
    ),
}
"""Of the settings that are lists of words."""


def personal_shelf() -> Path:
    """Where checkpoints that people train are kept, unless told otherwise."""
    return Path.home() / ".local" / "share" / "denoir" / "models"


def personal_cache() -> Path:
    """Where what was made ahead is kept, unless told otherwise."""
    return Path.home() / ".cache" / "denoir"


class Settings(BaseSettings):
    """Each field is read from `DENOIR_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="DENOIR_", frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    metrics_host: str = Field("127.0.0.1", description="address to tell metrics on")
    metrics_port: int = Field(9464, ge=0, le=65535, description="port to tell metrics on; 0 tells none")
    traces: str = Field(
        "",
        pattern=r"^(https?://.+)?$",
        description="collector that traces are sent to by OTLP, as http://host:4318/v1/traces; none if empty",
    )
    models: Path = Field(default_factory=personal_shelf, description="shelf of checkpoints, beside those that ship")
    cache: Path = Field(default_factory=personal_cache, description="folder where compiled models are kept")
    preload: bool = Field(True, description="load models at the start, rather than when they are first asked for")
    model_memory: int = Field(0, ge=0, description="bytes that loaded models may take; 0 for any number")
    watch: float = Field(0, ge=0, description="seconds between two looks at the shelf for what is new; 0 for none")
    device: str = Field("auto", pattern=f"^({DEVICE.pattern})$", description=DEVICES)
    devices: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="devices that workers take in turn, one worker each at least, as cuda:0,cuda:1; none for `device`",
    )
    workers: int = Field(1, ge=1, le=64, description="processes that serve, each with its share of the cores")
    threads: int = Field(0, ge=0, le=1024, description="threads that compute; 0 for as many as there are cores given")
    decoders: int = Field(
        0, ge=0, le=64, description="processes that decode and encode; 0 for one a core, two at least"
    )
    tile: int = Field(
        TILE,
        ge=128,
        le=4096,
        description=f"side of a square of a tile's pixels, halo included; on a GPU {TILE} at most",
    )
    least_tile: int = Field(128, ge=32, description="side in pixels that tiles are cut down to where memory is short")
    batch_pixels: int = Field(0, ge=0, description="pixels in a batch; 0 for 65,536, on a GPU for 4,194,304")
    max_upload: int = Field(64 * MIB, ge=1024, description="bytes of a request body")
    max_json: int = Field(MIB, ge=1024, description="bytes of a body of JSON, which is read at one go")
    max_bodies: int = Field(1024 * MIB, ge=1024, description="bytes of all request bodies under way, together")
    max_files: int = Field(4, ge=2, description="files in a form")
    max_fields: int = Field(8, ge=0, description="other fields in a form")
    max_field: int = Field(64 * 1024, ge=0, description="bytes of such a field")
    max_part_head: int = Field(4096, ge=128, le=4096, description="bytes of a part's head in a form")
    max_pixels: int = Field(50_000_000, ge=1, description="pixels of a picture")
    max_side: int = Field(65_535, ge=1, description="pixels of a picture's longer side")
    max_pictures: int = Field(2048 * MIB, ge=1, description="bytes of all pictures under way; one alone may have more")
    max_waiting: float = Field(20.0, gt=0, description="seconds a request may be predicted to wait before 503")
    deadline: float = Field(60.0, gt=0, description="seconds an answer may take, beside twice what it should compute")
    decode_deadline: float = Field(10.0, gt=0, description="seconds a picture may take to decode")
    start_deadline: float = Field(600.0, gt=0, description="seconds one of several workers may take to come up")
    grace: float = Field(60.0, ge=0, description="seconds that work under way gets to end after SIGTERM")
    max_path: int = Field(8192, ge=64, description="bytes of a path")
    max_head: int = Field(32 * 1024, ge=1024, description="bytes of a request's headers")
    head_deadline: float = Field(10.0, gt=0, description="seconds a request's head may take")
    body_pause: float = Field(10.0, gt=0, description="seconds a body may pause, be it sent or read by the client")
    body_start: float = Field(30.0, ge=0, description="seconds before a body's speed counts")
    body_rate: int = Field(64 * 1024, ge=0, description="bytes a second that a body must come at")
    overrun: int = Field(8 * MIB, ge=2 * MIB, description="bytes that are taken of who is refused, or of a frame")
    linger: float = Field(2.0, gt=0, description="seconds for which who is refused is heard out")
    keep_alive: float = Field(5.0, ge=0, description="seconds an idle connection is kept")
    max_connections: int = Field(2000, ge=1, description="connections at a time, before 503")
    api_keys: SecretStr = Field(
        SecretStr(""), description="keys that may ask, as `key` or `name:key`; none lets anybody"
    )
    api_keys_file: Path | None = Field(None, description="file of such keys, one a line")
    key_rate: int = Field(0, ge=0, description="requests a minute of one key before 429; 0 for any number")
    origins: Annotated[tuple[str, ...], NoDecode] = Field((), description="other sites whose pages may ask")
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="names that requests may be addressed to, by their header Host; none for any"
    )
    max_samples: int = Field(64, ge=1, le=MOST_SAMPLES, description="pictures in one answer of /sample")

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def named(cls, told: object) -> object:
        return told or None  # as compose can't leave a variable out

    @field_validator("models", "cache")
    @classmethod
    def expanded(cls, path: Path) -> Path:
        return path.expanduser()

    @field_validator(*SPELLED, mode="before")
    @classmethod
    def listed(cls, told: object) -> object:
        return tuple(told.replace(",", " ").split()) if isinstance(told, str) else told

    @field_validator(*SPELLED)
    @classmethod
    def spelled(cls, told: tuple[str, ...], about: ValidationInfo) -> tuple[str, ...]:
        one = SPELLED[about.field_name or ""]
        if not all(map(one.pattern.fullmatch, told)):
            raise ValueError(f"each is {one.words}")
        return told

    @property
    def processes(self) -> int:
        """How many workers serve."""
        return max(self.workers, len(self.devices))

    def on(self, number: int) -> Self:
        """What the worker of that number gets of the devices: one."""
        return self.model_copy(update={"device": self.devices[number % len(self.devices)]}) if self.devices else self

    def shared(self, number: int = 0) -> Self:
        """What the worker of that number gets: a device, its part of the cores, and of what all of them may hold."""
        part = {name: max(1, getattr(self, name) // self.processes) for name in ("max_bodies", "max_pictures")}
        threads, decoders = self.cores // self.processes, self.decoder_processes // self.processes
        least = 1 if self.decoders else 2  # of two, one takes small pictures alone
        part |= {"threads": max(1, threads), "decoders": max(least, decoders)}
        if self.key_rate:
            part["key_rate"] = max(1, self.key_rate // self.processes)
        return self.on(number).model_copy(update=part)

    @property
    def cores(self) -> int:
        """Threads to compute with."""
        return self.threads or cores_given()

    @property
    def decoder_processes(self) -> int:
        return self.decoders or max(2, min(8, cores_given()))


def cores_given() -> int:
    """Cores that this process may use: its affinity, and the control group's quota where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, quota_of(Path("/sys/fs/cgroup/cpu.max"))))


def quota_of(path: Path) -> int:
    """Whole cores that a control group grants, rounded up; very many where it sets no limit."""
    try:
        quota, period = path.read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):
        return 2**16
