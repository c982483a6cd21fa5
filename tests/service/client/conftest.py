"""The client that waits and the one that awaits, asked in one way."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.client import AsyncClient, Client

Call = Callable[..., Any]
"""(settings of a client) -> a function (method, its arguments) -> what it gives."""


def waiting(**settings: Any) -> Call:
    def call(method: str, *args: Any, **kwargs: Any) -> Any:
        with Client(**settings) as client:
            return getattr(client, method)(*args, **kwargs)

    return call


def awaiting(**settings: Any) -> Call:
    def call(method: str, *args: Any, **kwargs: Any) -> Any:
        async def asked() -> Any:
            async with AsyncClient(**settings) as client:
                return await getattr(client, method)(*args, **kwargs)

        return asyncio.run(asked())

    return call


@pytest.fixture(params=[waiting, awaiting])
def client(request: pytest.FixtureRequest) -> Call:
    return request.param
