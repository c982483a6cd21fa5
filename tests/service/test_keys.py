"""Who may ask, and how often."""

import asyncio
import hmac
import logging
from pathlib import Path
from typing import Any

import pytest
from answers import problem
from pydantic import ValidationError
from starlette.testclient import TestClient

from service import keys, telemetry
from service.app import create_app
from service.guards import RequestIds
from service.keys import Doorkeeper, Keys, digest
from service.settings import Settings

KEY, OTHER = "abcdefghijklmnopqrst", "0123456789-._~+/AAAA=="


def bearing(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def guarded(**settings: Any) -> TestClient:
    """The whole application, which is not started: who is let in is told that it isn't ready."""
    return TestClient(create_app(Settings(models=Path("nothing"), **settings)))


def test_keys_are_known_by_their_names_and_only_their_digests_are_held(tmp_path: Path):
    (tmp_path / "keys").write_text(f"# whose they are\n\nours:{OTHER}\n")
    found = Keys.of(Settings.model_validate({"api_keys": KEY, "api_keys_file": tmp_path / "keys"}))
    assert (found.name_of(KEY), found.name_of(OTHER)) == ("key-1", "ours")
    assert {found.name_of(wrong) for wrong in ("", "ours", KEY[:-1], KEY + "u", f"ours:{OTHER}", "\xff")} == {None}
    assert KEY not in str(vars(found))
    assert len(Keys.of(Settings.model_validate({"api_keys": f"a:{KEY}, b:{OTHER}"})).names) == 2


@pytest.mark.parametrize(
    "entry", ["short", "bad name:abcdefghijklmnopqrst", "abcdefghijklmnopqr t", ":" + KEY, "é" * 20]
)
def test_what_is_no_key_is_refused_and_not_repeated(entry: str):
    with pytest.raises(ValueError, match="API key 2") as refused:
        Keys([KEY, entry])
    assert entry not in str(refused.value)


@pytest.mark.parametrize("said", [" ", ",,"])
def test_where_keys_are_meant_but_none_is_there_nobody_is_let_in(said: str, tmp_path: Path):
    (tmp_path / "keys").write_text("# none yet\n")
    for meant in ({"api_keys": said}, {"api_keys_file": tmp_path / "keys"}):
        with pytest.raises(ValueError, match="there is none"):
            Keys.of(Settings.model_validate(meant))


def test_settings_do_not_show_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DENOIR_API_KEYS", KEY)
    settings = Settings()
    for shown in (repr(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert KEY not in shown
    monkeypatch.setenv("DENOIR_PORT", KEY)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert KEY not in str(refused.value)


def test_every_key_is_compared_in_the_same_time(monkeypatch: pytest.MonkeyPatch):
    compared: list[tuple[bytes, bytes]] = []

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac_compare(a, b)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "compare_digest", watched)
    assert Keys([KEY, OTHER]).name_of(KEY) == "key-1"
    assert compared == [(digest(KEY), digest(KEY)), (digest(OTHER), digest(KEY))]


def test_every_path_but_health_and_the_pages_files_needs_a_key():
    client = guarded(api_keys=KEY)
    described = client.app.openapi()["paths"]  # type: ignore[attr-defined]
    for path in {*described, "/docs", "/openapi.json", "/nowhere"} - {"/healthz", "/readyz"}:
        for headers in ({}, bearing(OTHER), {"authorization": f"Basic {KEY}"}, {"authorization": KEY}):
            told = client.get(path, headers=headers)
            problem(told, 401, "unauthorized")
            assert told.headers["www-authenticate"] == "Bearer"
        problem(client.get(path, headers=bearing(KEY)), 503, "shutting-down")
    assert client.get("/healthz").status_code == 200
    for path, slug in ("/readyz", "not-ready"), ("/static/docs/swagger-ui.css", "shutting-down"):
        told = client.get(path)
        problem(told, 503, slug)
        assert int(told.headers["retry-after"]) > 0


def test_without_keys_anybody_may_ask():
    answer = guarded().get("/models")
    problem(answer, 503, "shutting-down")
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("api_keys", ["", KEY])
def test_the_description_says_whether_a_key_is_needed(api_keys: str):
    described = guarded(api_keys=api_keys).app.openapi()["paths"]  # type: ignore[attr-defined]
    for path, methods in described.items():
        for told in methods.values():
            needed = bool(api_keys) and path not in ("/healthz", "/readyz")
            assert ("401" in told["responses"], "429" in told["responses"]) == (needed, needed)
            assert ("security" in told) == needed


def asked(door: Doorkeeper, key: str) -> Any:
    """(status, headers) of one request, asked in the running loop."""

    async def ask() -> tuple[int, dict[str, str]]:
        headers = [(b"authorization", f"Bearer {key}".encode())]
        scope = {"type": "http", "method": "GET", "path": "/models", "headers": headers, "request_id": "x"}
        said: list[Any] = []

        async def send(message: Any) -> None:
            said.append(message)

        await door(scope, receive, send)
        return said[0]["status"], {name.decode(): value.decode() for name, value in said[0]["headers"]}

    return ask()


async def receive() -> Any:
    return {"type": "http.request"}


async def there(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_key_has_a_rate_of_its_own_and_may_ask_again_when_it_was_told(monkeypatch: pytest.MonkeyPatch):
    async def test() -> None:
        now, door = 1000.0, Doorkeeper(there, Keys([KEY, OTHER]), rate=2)
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
        assert [(await asked(door, KEY))[0] for _ in range(2)] == [200, 200]
        status, headers = await asked(door, KEY)
        assert (status, headers["retry-after"]) == (429, "30")
        assert (await asked(door, OTHER))[0] == 200
        now += 29
        assert (await asked(door, KEY))[0] == 429
        now += 1
        assert [(await asked(door, KEY))[0] for _ in range(2)] == [200, 429]

    asyncio.run(test())


def test_the_rate_of_a_key_is_shared_out_among_the_workers():
    rates = [Settings(workers=4, key_rate=rate).shared().key_rate for rate in (0, 2, 60)]
    assert rates == [0, 1, 15], "none stays none, and some stay some"


def test_without_a_rate_a_key_may_ask_as_often_as_it_likes():
    async def test() -> None:
        door = Doorkeeper(there, Keys([KEY]), rate=0)
        assert {(await asked(door, KEY))[0] for _ in range(200)} == {200}

    asyncio.run(test())


def test_a_key_is_never_written_down_but_its_name_is(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    client = TestClient(RequestIds(Doorkeeper(there, Keys([f"ours:{KEY}"]), rate=0)))
    assert client.get("/models", headers=bearing(KEY)).status_code == 200
    assert client.get("/models", headers=bearing(OTHER)).status_code == 401
    lines = [telemetry.Line().format(record) for record in caplog.records if record.name == "denoir"]
    assert len(lines) == 2
    assert '"key": "ours"' in lines[0]
    assert not any(key in line for key in (KEY, OTHER) for line in lines)
