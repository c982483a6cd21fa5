"""Mixed traffic, good and bad, for as long as is asked: `make soak`. Fails if the server keeps growing.

Each client does one thing after another, by a seed of its own: pictures of every make, samples, codes; files that are
spoilt, bombs, forms and heads that are broken; and hanging up half-way. What the server takes is looked at between
rounds, when it has come to rest, so that no answer under way is counted.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

from conftest import TINY, stocked
from serving import Server, Usage, settled, started

from tests.hostile import spoilt
from tests.hostile.bombs import BOMBS
from tests.hostile.others import OTHERS
from tests.hostile.pictures import VALID
from tests.hostile.test_forms import WHOLE
from tests.hostile.test_framing import CHUNKS, HEADS, LENGTHS, TARGET
from tests.load.clients import Address, ask, get, post

CLIENTS = 16
ROUND = 20.0
"""Seconds of traffic between two looks."""

WARM = 0.4
"""Share of the rounds that do not count: caches fill, and the allocator finds its level."""

GROWTH = 64_000_000
"""Bytes that the later rounds may take beyond the earlier that count."""

DENOISE = "/denoise?model=tiny-photo"
SPOILT = [data for _, data in spoilt.flipped(500)] + [data for _, data in spoilt.cut(97)]
SMALL_BOMBS = [data for data in (make() for make, _ in BOMBS.values()) if len(data) < 1_000_000]
GETS = ["/healthz", "/models", "/models/tiny-vae", "/openapi.json", "/docs", "/nowhere", "/sample?model=tiny-vae&n=65"]

Step = Callable[[Address, random.Random], Awaitable[str]]
"""One thing that a client does, and what came of it."""


async def answered(address: Address, request: bytes) -> str:
    reply = await ask(address, request)
    if reply.status == 503:
        await asyncio.sleep(int(reply.headers["retry-after"]))
    return str(reply.status)


async def denoise(address: Address, chance: random.Random) -> str:
    return await answered(address, post(DENOISE, chance.choice(list(VALID.values()))))


async def rebuild(address: Address, chance: random.Random) -> str:
    route = chance.choice(["reconstruct", "encode"])
    return await answered(address, post(f"/{route}?model=tiny-vae", chance.choice(list(VALID.values()))))


async def sample(address: Address, chance: random.Random) -> str:
    query = f"model=tiny-vae&n={chance.randint(1, 64)}&format={chance.choice(['png', 'webp', 'zip'])}"
    return await answered(address, get(f"/sample?{query}"))


async def look(address: Address, chance: random.Random) -> str:
    return await answered(address, get(chance.choice(GETS)))


async def spoil(address: Address, chance: random.Random) -> str:
    return await answered(address, post(DENOISE, chance.choice([*SPOILT, *OTHERS.values()])))


async def bomb(address: Address, chance: random.Random) -> str:
    return await answered(address, post(DENOISE + "&sigma=0", chance.choice(SMALL_BOMBS)))


async def form(address: Address, chance: random.Random) -> str:
    cut = WHOLE[: chance.randrange(len(WHOLE))]
    request = post(DENOISE, cut).replace(b"Host: x", b"Host: x\r\nContent-Type: multipart/form-data; boundary=X")
    return await answered(address, request)


async def break_head(address: Address, chance: random.Random) -> str:
    """What is no request; the server may say so, or hang up."""
    broken = [*HEADS, *(TARGET + length + b"\r\n0\r\n\r\n" for length in LENGTHS), *CHUNKS]
    with suppress(OSError, ValueError, IndexError):
        return await answered(address, chance.choice(broken))
    return "cut"


async def vanish(address: Address, chance: random.Random) -> str:
    request = post(DENOISE, VALID["png 16 alpha"])
    _, writer = await asyncio.open_connection(*address)
    writer.write(request[: chance.randrange(len(request) + 1)])
    await writer.drain()
    await asyncio.sleep(chance.random() / 10)
    writer.transport.abort()
    return "gone"


STEPS: dict[Step, int] = {
    denoise: 8, rebuild: 4, sample: 4, look: 4, spoil: 8, bomb: 1, form: 3, break_head: 2, vanish: 3,
}  # fmt: skip
"""What is done, and how often beside the others."""


async def client(server: Server, chance: random.Random, until: float, told: Counter[str]) -> None:
    while time.monotonic() < until:
        (step,) = chance.choices(list(STEPS), list(STEPS.values()))
        told[f"{step.__name__} {await step(server.address, chance)}"] += 1


def traffic(server: Server, seed: int) -> Counter[str]:
    """One round of it."""

    async def all_of_them() -> Counter[str]:
        told, until = Counter[str](), time.monotonic() + ROUND
        await asyncio.gather(*(client(server, random.Random(f"{seed} {n}"), until, told) for n in range(CLIENTS)))
        return told

    return asyncio.run(all_of_them())


def grown(looks: list[Usage]) -> list[str]:
    """In what the later half of the looks that count exceeds the earlier, at their medians, by more than it may."""
    counted = looks[int(len(looks) * WARM) :]
    first, last = counted[: len(counted) // 2], counted[len(counted) // 2 :]
    wrong = []
    for what, allowed in {"memory": GROWTH, "descriptors": 0, "threads": 2, "processes": 0}.items():
        before, after = (median(getattr(one, what) for one in half) for half in (first, last))
        if after > before + allowed:
            wrong.append(f"{what}: {before:.0f} at first, {after:.0f} in the end")
    return wrong


def main() -> int:
    """Tells what was asked and what came of it; 1 where something has grown or failed."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=float, default=5)
    rounds = max(5, round(asked.parse_args().minutes * 60 / ROUND))
    told, looks = Counter[str](), list[Usage]()
    with tempfile.TemporaryDirectory() as folder, started(stocked(Path(folder), TINY), DENOIR_BODY_PAUSE="2") as server:
        for number in range(rounds):
            told += traffic(server, number)
            looks.append(settled(server))
            print(f"{(number + 1) * ROUND:5.0f} s, {told.total()} requests: {looks[-1]}", file=sys.stderr, flush=True)
    for what, count in sorted(told.items()):
        print(f"{count:7} {what}")
    wrong = grown(looks) + [what for what in told if what.split()[-1] in ("500", "501", "502")]
    print("\n".join(wrong) or "nothing has grown, and nothing failed")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
