from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import Server, started


@pytest.fixture(scope="package")
def serve(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """`serve(**environment)` -> a real server with small models; those who ask for the same settings share one."""
    cache = str(tmp_path_factory.mktemp("graphs"))
    there: dict[tuple[tuple[str, str], ...], Server] = {}
    with ExitStack() as stack:

        def serve(**environment: str) -> Server:
            key = tuple(sorted(environment.items()))
            if key not in there:
                there[key] = stack.enter_context(started(shelf, DENOIR_CACHE=cache, DENOIR_DEVICE="cpu", **environment))
            return there[key]

        yield serve
