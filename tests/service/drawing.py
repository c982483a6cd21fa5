"""What is asked of the small variational autoencoder, and what its answers show."""

import io

import numpy as np
from answers import decoded, encoded, pictures
from conftest import scene
from PIL import Image
from starlette.testclient import TestClient

HEIGHT, WIDTH, LATENT = 12, 10, 5
"""Of the small variational autoencoder."""

FITTING = encoded(scene(HEIGHT, WIDTH, 3)[..., 0])
CODE = [0.5, -1.25, 0.0, 2.0, 0.125]


def get(client: TestClient, path: str, /, **query: object):
    return client.get(path, params={"model": "tiny-vae"} | query)


def post(client: TestClient, path: str, data: bytes = FITTING, /, **query: object):
    return client.post(path, params={"model": "tiny-vae"} | query, content=data)


def decode(client: TestClient, **asked: object):
    return client.post("/decode", json={"model": "tiny-vae"} | asked)


def singles(response) -> list[np.ndarray]:
    """The pictures of a zip, in order."""
    assert response.status_code == 200, response.text
    return [np.asarray(decoded(data)) for _, data in sorted(pictures(response).items())]


def frames(data: bytes) -> list[np.ndarray]:
    with Image.open(io.BytesIO(data)) as film:
        found = []
        for number in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(number)
            found.append(np.asarray(film.convert("L")))
        return found
