"""Asking the service from Python, by `Client` and, within an event loop, `AsyncClient`.

    with Client("http://localhost:8000") as client:
        client.denoise("noisy.jpg").save("clean.jpg")

Needs httpx2 and nothing else: no torch, nothing of the service. What goes wrong is a `Problem`, as the service told it,
or `Unreachable`.
"""

from service.client.answers import Album, Drawn, Encoded, Health, Model, ModelDetails, Picture
from service.client.calls import AsyncClient, Client
from service.client.errors import ClientError, Problem, Unreachable
from service.client.patience import Patience

__all__ = [
    "Album",
    "AsyncClient",
    "Client",
    "ClientError",
    "Drawn",
    "Encoded",
    "Health",
    "Model",
    "ModelDetails",
    "Patience",
    "Picture",
    "Problem",
    "Unreachable",
]
