import json
import logging
import sys

import numpy as np
import pytest
from answers import encoded
from PIL import Image
from starlette.testclient import TestClient

from service import guards, telemetry
from service.telemetry import Line


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict]:
    """What was written down, each line read again."""
    return [json.loads(Line().format(record)) for record in caplog.records if record.name == "denoir"]


def test_a_line_is_a_line_whatever_is_in_it():
    try:
        raise ValueError("first\r\nsecond")
    except ValueError:
        trace = sys.exc_info()
    record = logging.LogRecord("denoir", logging.ERROR, "", 0, "a\r\nb\u2028c\x1b[2J %s", ("d\n",), trace)
    record.fields = {"path": "/x\r\nlevel: forged"}
    text = Line().format(record)
    assert text.isascii()
    assert text.isprintable()
    told = json.loads(text)
    assert (told["level"], told["message"], told["path"]) == (
        "error",
        "a\r\nb\u2028c\x1b[2J d\n",
        "/x\r\nlevel: forged",
    )
    assert "ValueError: first" in told["trace"]


def test_a_request_is_one_line_of_what_it_was_and_not_of_whose(client: TestClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "denoir")
    exif = Image.Exif()
    exif[271], exif[315] = "a secret camera", "a secret person"
    data = encoded(np.full((50, 70, 3), 99, np.uint8), "jpeg", exif=exif)
    asked = {"params": {"model": "tiny-photo", "sigma": 7}, "headers": {"x-request-id": "mine"}}
    client.post("/denoise", files={"file": ("a secret name.jpg", data)}, **asked)
    (line,) = lines_of(caplog)
    assert line.pop("seconds") > 0
    assert {"decode", "queue", "model", "encode"} == set(line.pop("took"))
    assert len(data) < line.pop("bytes") < len(data) + 500
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "message": "request",
        "id": "mine",
        "method": "POST",
        "path": "/denoise",
        "model": "tiny-photo@1",
        "format": "jpeg",
        "width": 70,
        "height": 50,
        "status": 200,
    }


def test_what_is_refused_has_its_line_too_and_no_more_of_a_path_than_is_of_use(
    client: TestClient, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "denoir")
    client.get("/a%0d%0ab" + "x" * 500 + "?secret")
    (line,) = lines_of(caplog)
    assert line["status"] == 404
    assert line["path"] == "/a\r\nb" + "x" * (telemetry.LONGEST_PATH - 5)


def test_what_nobody_foresaw_is_written_down_with_its_trace_under_the_requests_id(caplog: pytest.LogCaptureFixture):
    async def failing(*_: object) -> None:
        raise RuntimeError("a secret of the machine")

    caplog.set_level(logging.INFO, "denoir")
    answer = TestClient(guards.RequestIds(failing)).get("/", headers={"x-request-id": "mine"})
    assert "secret" not in answer.text
    error, request = lines_of(caplog)
    assert "a secret of the machine" in error["trace"]
    assert "mine" in error["message"]
    assert (request["id"], request["status"]) == ("mine", 500)


def test_lines_go_to_standard_error_and_libraries_are_not_listened_to(capsys: pytest.CaptureFixture[str]):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        telemetry.write_lines()
        logging.getLogger("denoir").info("ours")
        logging.getLogger("uvicorn.error").info("the server's")
        logging.getLogger("python_multipart").info("noise")
        told = capsys.readouterr()
    finally:
        root.handlers[:], _ = before[0], root.setLevel(before[1])
        for name in ("denoir", "uvicorn"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    assert told.out == ""
    assert [json.loads(line)["message"] for line in told.err.splitlines()] == ["ours", "the server's"]
