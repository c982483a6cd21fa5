"""Answers taken apart, however they come."""

import pytest
from hypothesis import given, strategies

from service.client import Unreachable
from service.client.parts import Parts


def written(bodies: list[bytes]) -> bytes:
    """As the service writes them."""
    parts = [
        b"--edge\r\nContent-Length: %d\r\nX-Number: %d\r\n\r\n%b\r\n" % (len(b), n, b) for n, b in enumerate(bodies)
    ]
    return b"".join(parts) + b"--edge--\r\n"


@given(strategies.lists(strategies.binary(max_size=40)), strategies.integers(1, 60))
def test_parts_come_out_as_they_went_in(bodies: list[bytes], piece: int):
    bodies.append(b"--edge--\r\n\r\n")
    data = written(bodies)
    parts = Parts.of('multipart/mixed; boundary="edge"')
    found = [part for at in range(0, len(data), piece) for part in parts.feed(data[at : at + piece])]
    assert [part.body for part in found] == bodies
    assert [int(part.headers["x-number"]) for part in found] == list(range(len(bodies)))
    assert parts.ended


def test_what_is_no_part_is_refused():
    with pytest.raises(Unreachable, match="no boundary"):
        Parts.of("multipart/mixed")
    with pytest.raises(Unreachable, match="how long"):
        list(Parts.of("multipart/mixed; boundary=b").feed(b"--b\r\nContent-Length: x\r\n\r\nbody"))


def test_an_answer_that_has_not_ended_says_so():
    parts = Parts.of("multipart/mixed; boundary=edge")
    assert len(list(parts.feed(written([b"one"])[:-6]))) == 1
    assert not parts.ended
