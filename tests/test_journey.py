"""A stranger's first hour: the real server on the weights that ship, a photograph it has never seen, samples, one's own
pictures trained and served, and the command line giving the same pixels."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
import yaml
from conftest import SAMPLES
from PIL import Image

from service.settings import Settings

DENOIR = [sys.executable, "-c", "from service.cli import main; main()"]
ROOT = SAMPLES.parent
NOISY = (SAMPLES / "bridge-noisy.png").read_bytes()


@contextmanager
def serving(shelf: Path) -> Iterator[httpx2.Client]:
    """`denoir serve`, ready."""
    with started(shelf) as (client, _):
        yield client


@contextmanager
def started(shelf: Path, **environment: str) -> Iterator[tuple[httpx2.Client, subprocess.Popen]]:
    """`denoir serve` on a free port, ready; ended by SIGTERM, which must end it cleanly."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*DENOIR, "--shelf", str(shelf), "serve", "--port", str(port)]
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, env=os.environ | environment, **told)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_ready(client, process)
            yield client, process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(client: httpx2.Client, process: subprocess.Popen) -> None:
    for _ in range(1800):
        if process.poll() is not None:
            pytest.fail(f"the server ended: {process.communicate()[0]}")
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the server was not ready within three minutes")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with serving(tmp_path_factory.mktemp("empty shelf")) as client:
        yield client


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    return -10 * np.log10(np.mean((a.astype(float) - b.astype(float)) ** 2) / 255**2)


@pytest.mark.parametrize("query", ["sigma=25", ""])
def test_a_noisy_photograph_comes_back_clean(server: httpx2.Client, query: str):
    response = server.post(f"/denoise?{query}", files={"file": NOISY})
    assert response.status_code == 200, response.text
    clean = pixels((SAMPLES / "bridge.jpg").read_bytes())
    assert decibels(pixels(response.content), clean) > decibels(pixels(NOISY), clean) + 7


def test_the_command_line_and_the_service_give_the_same_pixels(server: httpx2.Client, tmp_path: Path):
    out = tmp_path / "out.png"
    asked = ["denoise", str(SAMPLES / "bridge-noisy.png"), str(out), "--sigma", "25"]
    subprocess.run([*DENOIR, *asked], check=True, capture_output=True)
    served = pixels(server.post("/denoise?sigma=25", content=NOISY).content).astype(int)
    difference = np.abs(pixels(out.read_bytes()).astype(int) - served)
    assert difference.max() <= 1
    assert difference.mean() < 0.001

    subprocess.run([*DENOIR, "sample", str(tmp_path / "drawn"), "-n", "3", "--seed", "7"], check=True)
    with zipfile.ZipFile(io.BytesIO(server.get("/sample?n=3&seed=7&format=zip").content)) as packed:
        for name in packed.namelist():
            assert packed.read(name) == (tmp_path / "drawn" / name).read_bytes()


def test_the_same_seed_draws_the_same_digits(server: httpx2.Client):
    first, again = (server.get("/sample?n=16&seed=7").content for _ in range(2))
    more = server.get("/sample?n=32&seed=7&format=zip").content
    assert first == again
    with zipfile.ZipFile(io.BytesIO(more)) as packed:
        sheet = pixels(first)
        for number in range(16):
            row, column = divmod(number, 4)
            cell = sheet[2 + 30 * row :, 2 + 30 * column :][:28, :28]
            assert np.array_equal(cell, pixels(packed.read(f"{number:06d}.png")))


def test_the_way_from_one_digit_to_another_and_a_digits_code(server: httpx2.Client):
    def drawn(path: str) -> list[bytes]:
        with zipfile.ZipFile(io.BytesIO(server.get(f"{path}&format=zip").content)) as packed:
            return [packed.read(name) for name in sorted(packed.namelist())]

    way = drawn("/interpolate?from=7&to=8&steps=5")
    assert [way[0], way[4]] == drawn("/sample?n=1&seed=7") + drawn("/sample?n=1&seed=8")
    code = server.post("/encode", content=way[0]).json()["code"]
    again = pixels(server.post("/decode", json={"code": code}).content)
    assert decibels(again, pixels(way[0])) > 15


def test_half_of_a_digit_is_enough(server: httpx2.Client):
    """A digit drawn by one model, half of its pixels dropped, is restored by the other."""
    with zipfile.ZipFile(io.BytesIO(server.get("/sample?n=4&seed=3&format=zip").content)) as packed:
        digits = [pixels(packed.read(name)) for name in packed.namelist()]
    rng = np.random.default_rng(0)
    for digit in digits:
        spoilt = digit * rng.integers(0, 2, digit.shape, np.uint8)
        stream = io.BytesIO()
        Image.fromarray(spoilt).save(stream, "png")
        response = server.post("/denoise?model=digits-denoise", content=stream.getvalue())
        assert response.status_code == 200, response.text
        assert decibels(pixels(response.content), digit) > decibels(spoilt, digit) + 3


@pytest.mark.slow
def test_a_large_photograph_is_answered_and_others_are_served_meanwhile(server: httpx2.Client):
    with Image.open(io.BytesIO(NOISY)) as noisy:
        large = noisy.resize((4000, 3000))
    stream = io.BytesIO()
    large.save(stream, "jpeg", quality=90)
    with ThreadPoolExecutor(1) as background:
        answer = background.submit(server.post, "/denoise?sigma=10", content=stream.getvalue(), timeout=300)
        time.sleep(2)
        assert not answer.done()
        began = time.monotonic()
        assert server.get("/healthz").status_code == 200
        assert server.post("/denoise?sigma=25", content=NOISY).status_code == 200
        meanwhile = time.monotonic() - began
        assert not answer.done(), f"the small one took {meanwhile:.1f} s, and so waited for the large one"
        assert pixels(answer.result().content).shape == (3000, 4000, 3)


def test_own_pictures_are_trained_and_served_without_another_step(photographs: Path, tmp_path: Path):
    shelf = tmp_path / "shelf"
    train = ["train", "vae", "--data", str(photographs), "--name", "mine", "--steps", "3", "--batch", "2", "--quiet"]
    small = ["--size", "16", "--set", "widths=[4, 8]", "--compile", "off"]
    subprocess.run([*DENOIR, "--shelf", str(shelf), *train, *small], check=True)
    with serving(shelf) as client:
        response = client.get("/sample?model=mine&n=4")
        assert response.status_code == 200, response.text
        assert pixels(response.content).shape == (38, 38, 3)


def test_a_client_that_hangs_up_leaves_the_service_well(server: httpx2.Client):
    host, port = server.base_url.host, server.base_url.port
    head = f"POST /denoise?sigma=9 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(NOISY)}\r\n\r\n".encode()
    for part in (b"", NOISY[:1000], NOISY):
        with socket.create_connection((host, port)) as connection:
            connection.sendall(head + part)
    assert server.post("/denoise?sigma=25", content=NOISY).status_code == 200


def test_a_job_that_outlasts_the_grace_is_told_so_and_so_is_who_comes_meanwhile(tmp_path: Path):
    with Image.open(io.BytesIO(NOISY)) as noisy:
        large = io.BytesIO()
        noisy.resize((8000, 6000)).save(large, "jpeg")
    slow = {"DENOIR_GRACE": "2", "DENOIR_THREADS": "1", "DENOIR_DEVICE": "cpu"}
    with started(tmp_path, **slow) as (client, process), ThreadPoolExecutor(1) as background:
        answer = background.submit(client.post, "/denoise?sigma=10", content=large.getvalue())
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").json()["type"] == "urn:denoir:not-ready"
        for response in (client.post("/denoise?sigma=25", content=NOISY), answer.result()):
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["type"] == "urn:denoir:shutting-down"


@pytest.mark.parametrize(("well", "code"), [(True, 0), (False, 1)])
def test_the_containers_health_check_asks_the_port_that_is_set(server: httpx2.Client, well: bool, code: int):
    instructions = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    check = re.search(r"^HEALTHCHECK .*? CMD (\[.*\])$", instructions, re.MULTILINE)
    assert check
    port = server.base_url.port if well else 1
    found = subprocess.run(json.loads(check[1]), env=os.environ | {"DENOIR_PORT": str(port)}, capture_output=True)
    assert found.returncode == code


def test_the_container_is_nobody_writes_nowhere_and_may_nothing():
    last = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["65534:65534"]
    for service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert [place.partition(":")[0] for place in service["tmpfs"]] == ["/tmp"]


def test_what_can_be_set_can_be_set_of_the_container():
    known = {f"DENOIR_{name.upper()}" for name in Settings.model_fields}
    # Of the image, of its network, or of what the image lacks (traces).
    apart = {"HOST", "PORT", "MODELS", "CACHE", "METRICS_PORT", "DEVICE", "TRACES"}
    for service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values():
        told = set(service["environment"])
        assert told - {"DENOIR_DEVICE"} == known - {f"DENOIR_{name}" for name in apart}


def test_a_file_of_keys_is_seen_in_the_container_where_it_is_looked_for():
    for service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values():
        (place,) = (one for one in service["volumes"] if one.startswith("${DENOIR_API_KEYS_FILE:-/dev/null}:"))
        _, _, inside = place.removesuffix(":ro").rpartition(":")
        assert service["environment"]["DENOIR_API_KEYS_FILE"] == f"${{DENOIR_API_KEYS_FILE:+{inside}}}"
    assert Settings(api_keys_file="").api_keys_file is None  # type: ignore[arg-type]


def test_the_folder_that_compose_mounts_is_there_and_empty():
    """Or the container engine makes it, as root's."""
    tracked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "shelf"]
    if (ROOT / ".git").exists():
        assert subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True).stdout.split() == ["shelf/.gitkeep"]
    assert (ROOT / "shelf" / ".gitkeep").exists()


def test_a_port_that_is_taken_ends_with_an_error(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*DENOIR, "--shelf", str(tmp_path), "serve", "--port", str(taken.getsockname()[1])]
        assert subprocess.run(command, capture_output=True, timeout=60).returncode != 0


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["--help"], 0), (["serve", "--port", "x"], 2)])
def test_the_command_answers(words: list[str], code: int):
    found = subprocess.run([*DENOIR, *words], capture_output=True, text=True)
    assert found.returncode == code
    assert "denoir" in found.stdout + found.stderr


def test_a_wrong_setting_is_named():
    environment = os.environ | {"DENOIR_PORT": "none"}
    found = subprocess.run([*DENOIR, "models"], capture_output=True, text=True, env=environment)
    assert found.returncode == 1
    assert "port" in found.stderr
    assert "Traceback" not in found.stderr
