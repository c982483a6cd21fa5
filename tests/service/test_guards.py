import pytest

from service.guards import negotiated

WRITABLE = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp"}


@pytest.mark.parametrize(
    ("accept", "wished"),
    [
        ("", []),
        ("*/*", []),
        ("image/*", []),
        ("image/webp", ["webp"]),
        ("image/png;q=0.5, image/jpeg", ["jpeg", "png"]),
        ("text/html, image/webp;q=0.8, */*;q=0.1", ["webp"]),
        ("image/png;q=0", []),
        ("application/json", []),
        ("*/*, image/jpeg;q=0.2", []),
        (";;;,,q=", []),
    ],
)
def test_the_best_format_that_is_asked_for_comes_first(accept: str, wished: list[str]):
    assert negotiated(accept, WRITABLE) == wished
