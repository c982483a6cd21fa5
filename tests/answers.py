"""What is sent to the service, and what its answers hold."""

import io
import zipfile
from typing import Any

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray, form: str = "png", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


def pictures(response: Any) -> dict[str, bytes]:
    """What a zip holds, by name."""
    with zipfile.ZipFile(io.BytesIO(response.content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def problem(response: Any, status: int, slug: str) -> dict[str, Any]:
    """The problem that an answer is, if it is that one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"urn:denoir:{slug}", response.text
    assert body["status"] == status
    assert body["instance"] == response.headers["x-request-id"]
    return body
