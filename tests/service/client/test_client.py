"""Both clients, and a server."""

import asyncio
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from answers import decoded, encoded
from conftest import SAMPLES, scene
from serving import Server, started

from service.client import AsyncClient, Patience, Problem, Unreachable

from .conftest import Call

KEY = "abcdefghijklmnopqrst"
GIVEN = encoded(scene(300, 200, 1))


@pytest.fixture(scope="module")
def server(shelf: Path, graphs: Path) -> Iterator[Server]:
    settings = {"API_KEYS": KEY, "CACHE": str(graphs), "METRICS_PORT": "0", "TILE": "128", "DEVICE": "cpu"}
    with started(shelf, **{f"DENOIR_{name}": value for name, value in settings.items()}) as server:
        yield server


@pytest.fixture
def call(server: Server, client: Call) -> Call:
    return client(url=server.url, key=KEY)


def test_a_picture_is_denoised_out_of_memory_a_file_or_a_stream(call: Call, tmp_path: Path):
    (tmp_path / "given.png").write_bytes(GIVEN)
    asked = {"model": "tiny-photo", "sigma": 20, "strength": 0.5, "format": "webp"}
    first = call("denoise", GIVEN, **asked)
    assert (first.media_type, first.model, first.sigma) == ("image/webp", "tiny-photo@1", 20)
    assert decoded(first.data).size == (200, 300)
    with (tmp_path / "given.png").open("rb") as stream:
        for source in (tmp_path / "given.png", str(tmp_path / "given.png"), stream):
            assert call("denoise", source, **asked).data == first.data
    first.save(tmp_path / "out.webp")
    assert (tmp_path / "out.webp").read_bytes() == first.data
    assert call("denoise", GIVEN, model="tiny-photo", sigma=20, format="webp").data != first.data


def test_a_path_that_leads_to_a_pipe_is_sent_as_it_comes(call: Call, tmp_path: Path):
    os.mkfifo(tmp_path / "given")
    thread = threading.Thread(target=(tmp_path / "given").write_bytes, args=[GIVEN])
    thread.start()
    assert call("denoise", tmp_path / "given", model="tiny-photo", sigma=9).data
    thread.join()


def test_a_stream_of_unknown_length_is_sent_as_it_comes(call: Call):
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    assert call("denoise", Pipe(GIVEN), model="tiny-photo").media_type == "image/png"


def test_it_is_told_how_far_an_answer_is_and_the_answer_is_the_same(call: Call):
    seen: list[tuple[int, int]] = []
    answer = call("denoise", GIVEN, model="tiny-photo", sigma=9, progress=lambda *at: seen.append(at))
    assert seen == sorted(set(seen))
    assert seen[-1][0] == seen[-1][1] > 1
    assert answer == call("denoise", GIVEN, model="tiny-photo", sigma=9)


def test_what_goes_wrong_after_progress_was_asked_for_is_a_problem(call: Call):
    with pytest.raises(Problem) as found:
        call("denoise", b"no picture", model="tiny-photo", progress=lambda *at: None)
    assert (found.value.status, found.value.slug) == (415, "unsupported-format")


def test_pictures_are_drawn_and_their_codes_told(call: Call):
    packed = call("sample", model="tiny-vae", n=3, seed=7, temperature=0.5, format="zip")
    assert (packed.seed, packed.model, len(packed.pictures)) == (7, "tiny-vae@1", 3)
    more = call("sample", model="tiny-vae", n=1, seed=7, temperature=0.5, first=2)
    assert decoded(more.pictures[0]).size == (14, 16)
    drawn = call("codes", model="tiny-vae", n=3, seed=7, temperature=0.5)
    assert (drawn["seed"], len(drawn["codes"])) == ("7", 3)
    assert call("decode", codes=drawn["codes"], model="tiny-vae", format="zip").pictures == packed.pictures
    assert call("decode", drawn["codes"][0], model="tiny-vae").pictures == packed.pictures[:1]


def test_the_way_from_seed_to_seed_and_from_picture_to_picture(call: Call):
    way = call("interpolate", 7, 8, model="tiny-vae", steps=3, path="straight", format="zip")
    assert (way.first, way.last, len(way.pictures)) == (7, 8, 3)
    ends = io.BytesIO(way.pictures[0]), way.pictures[2]
    assert len(call("interpolate_pictures", *ends, model="tiny-vae", steps=4, format="zip").pictures) == 4
    moved = call("traverse", model="tiny-vae", seed=7, directions="0,1", span=2.0, steps=3, format="zip")
    assert (moved.seed, len(moved.pictures)) == (7, 9)


def test_a_picture_has_a_code_and_is_rebuilt_of_it(call: Call):
    found = call("encode", GIVEN, model="tiny-vae")
    assert len(found["code"]) == 5
    assert found["fitted"]["given"] == [300, 200]
    rebuilt = call("reconstruct", GIVEN, model="tiny-vae", format="png")
    assert rebuilt.fitted
    assert decoded(rebuilt.data).size == (10, 12)


def test_the_models_and_the_service_tell_of_themselves(call: Call):
    listed = {model["title"]: model for model in call("models")}
    assert {"tiny-photo@1", "tiny-vae@1"} <= set(listed)
    details = call("model", "tiny-vae@1")
    assert {name: details[name] for name in listed["tiny-vae@1"]} == listed["tiny-vae@1"]
    for method in ("card", "sheet"):
        with pytest.raises(Problem) as found:
            call(method, "tiny-vae")
        assert found.value.slug == "not-evaluated"
    assert (call("health"), call("ready")) == ({"status": "ok"}, {"status": "ready"})


def test_a_wrong_model_is_told_with_what_there_is(call: Call):
    with pytest.raises(Problem, match="no-such") as found:
        call("colorize", GIVEN, model="no-such")
    assert found.value.slug == "unknown-model"
    assert "tiny-photo@1" in found.value.members["known"]


def test_without_its_key_nothing_is_answered(server: Server, client: Call):
    with pytest.raises(Problem) as found:
        client(url=server.url)("models")
    assert (found.value.status, found.value.slug) == (401, "unauthorized")


def test_where_nobody_listens_it_says_so(client: Call):
    with pytest.raises(Unreachable, match="ConnectError"):
        client(url="http://127.0.0.1:9", patience=Patience(tries=1))("models")


def test_many_are_asked_at_once_on_one_client(server: Server):
    async def asked() -> list[bytes]:
        async with AsyncClient(server.url, KEY) as client:
            answers = await asyncio.gather(*(client.sample(model="tiny-vae", seed=seed % 2) for seed in range(8)))
        return [answer.data for answer in answers]

    assert len(set(asyncio.run(asked()))) == 2


def test_an_awaited_answer_may_be_cancelled_and_others_be_asked_for(server: Server):
    large = encoded(scene(2400, 2400, 1), "jpeg")
    steps: list[tuple[int, int]] = []

    async def cancelled() -> None:
        begun = asyncio.Event()

        def told(*at: int) -> None:
            steps.append((at[0], at[1]))
            begun.set()

        async with AsyncClient(server.url, KEY) as client:
            task = asyncio.ensure_future(client.denoise(large, model="tiny-photo", sigma=9, progress=told))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await client.denoise(GIVEN, model="tiny-photo")

    asyncio.run(cancelled())
    assert steps[-1][0] < steps[-1][1]


def test_a_script_that_asks_needs_neither_torch_nor_the_service():
    code = "import sys, service.client; print(*{name.partition('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], cwd=SAMPLES.parent, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "models", "fastapi", "starlette", "pydantic", "PIL"} & set(found.stdout.split())
