"""Graphs of a GPU's work, on a card that is made of the CPU: what it captures runs again only when it is replayed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import graphed, sessions
from models.eager import Eager
from models.graphed import Graphed, filled_up
from models.sessions import Session
from models.unet import UNet, UNetConfig
from models.vae import VAE, VAEConfig

CPU = torch.device("cpu")
UINT8 = np.dtype(np.uint8)


class FakeCard:
    """Copies and runs are queued, and done in their order when it is waited for."""

    def __init__(self, error: Exception | None = None):
        self.error, self.queue, self.captures, self.replays = error, [], 0, 0

    def room(self, like: np.ndarray) -> Tensor:
        return Slow.of(torch.from_numpy(np.zeros_like(like)), self)

    def pinned(self, like: Tensor) -> Tensor:
        return Slow.of(torch.zeros_like(like.as_subclass(Tensor)), self)

    def captured(self, run: Callable[[], tuple[Tensor, ...]]) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        if self.error:
            raise self.error
        self.captures += 1
        self.finish()
        answers = tuple(Slow.of(torch.zeros_like(one), self) for one in run())

        def replay() -> None:
            self.replays += 1
            self.queue.append(lambda: [one.put(new) for one, new in zip(answers, run(), strict=True)])

        return answers, replay

    @contextmanager
    def on_stream(self) -> Iterator[None]:
        yield

    def finish(self) -> None:
        while self.queue:
            self.queue.pop(0)()


class Slow(Tensor):
    """Memory whose copies are done when the card gets to them."""

    card: FakeCard

    @classmethod
    def of(cls, tensor: Tensor, card: FakeCard) -> "Slow":
        made = tensor.as_subclass(cls)
        made.card = card
        return made

    def put(self, new: Tensor) -> None:
        self.as_subclass(Tensor).copy_(new.as_subclass(Tensor))

    def copy_(self, other: Tensor, non_blocking: bool = False) -> "Slow":
        assert non_blocking
        self.card.queue.append(lambda: self.put(other))
        return self

    def numpy(self, *, force: bool = False) -> np.ndarray:
        return self.as_subclass(Tensor).numpy(force=force)


class Doubling(nn.Module):
    """Twice each piece's values, and their sums."""

    def forward(self, pieces: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * pieces.as_subclass(Tensor), (pieces.as_subclass(Tensor) * factor.as_subclass(Tensor)).sum(1)


def program(card: FakeCard) -> Graphed:
    return Graphed(Eager(Doubling(), CPU), card)


def pieces(count: int, width: int = 3) -> np.ndarray:
    return np.arange(count * width, dtype=np.uint8).reshape(count, width)


def ask(one: Graphed, count: int, width: int = 3) -> None:
    """Asks, and checks what comes."""
    given, factor = pieces(count, width), np.array(3, np.float32)
    doubled, sums = one(given, factor, answer=UINT8)
    assert doubled.dtype == np.uint8
    assert np.array_equal(doubled, 2 * given)
    assert np.array_equal(sums, 3.0 * given.sum(1))


def test_a_shape_is_captured_when_it_comes_again_and_replayed_from_then_on():
    card = FakeCard()
    one = program(card)
    for captures, replays in ((0, 0), (1, 1), (1, 2), (1, 3)):
        ask(one, 4)
        assert (card.captures, card.replays) == (captures, replays)


def test_batches_are_filled_up_to_a_power_of_two_so_that_one_graph_serves_several_sizes():
    card = FakeCard()
    one = program(card)
    for count in (4, 3, 4, 3):
        ask(one, count)
    assert (card.captures, card.replays) == (1, 3)
    for count in (1, 2, 5, 8):
        ask(one, count)
    assert card.captures == 2  # 5 and 8 share one; 1 and 2 are met for the first time


@pytest.mark.parametrize(("count", "filled"), [(1, 1), (2, 2), (3, 4), (5, 8), (16, 16), (17, 32)])
def test_what_fills_a_batch_up_is_its_last_piece(count: int, filled: int):
    given = pieces(count, 2)
    found = filled_up(given, count)
    assert found.shape == (filled, 2)
    assert np.array_equal(found[:count], given)
    assert (found[count:] == given[-1]).all()
    assert filled_up(np.array(255.0), count).shape == ()


def test_an_answer_stays_what_it_was_when_another_is_asked():
    one = program(FakeCard())
    given, factor = pieces(2), np.array(1, np.float32)
    for _ in range(2):
        one(given, factor, answer=UINT8)
    first, _ = one(given, factor, answer=UINT8)
    one(given + 1, factor, answer=UINT8)
    assert np.array_equal(first, 2 * given)


def test_few_graphs_are_kept_and_the_latest_asked_stay(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(graphed, "GRAPHS", 2)
    card = FakeCard()
    one = program(card)
    for width in (3, 4, 3, 4, 3, 5, 5):
        ask(one, 1, width)
    assert card.captures == 3
    ask(one, 1, 3)
    assert card.captures == 3
    ask(one, 1, 4)
    assert card.captures == 4


def test_shapes_that_were_met_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(graphed, "MET", 5)
    one = program(FakeCard())
    for width in range(3, 30):
        ask(one, 1, width)
    assert len(one.worth) == 5


def test_a_shape_that_can_not_be_captured_runs_without_and_is_not_tried_again(caplog: pytest.LogCaptureFixture):
    one = program(FakeCard(RuntimeError("operation not permitted")))
    for _ in range(4):
        ask(one, 2)
    assert sum("can't be captured" in record.message for record in caplog.records) == 1


def test_without_memory_the_engine_is_told():
    one = program(FakeCard(torch.OutOfMemoryError("none")))
    ask(one, 2)
    with pytest.raises(torch.OutOfMemoryError):
        ask(one, 2)


@pytest.fixture
def on_a_card(in_pytorch: None, monkeypatch: pytest.MonkeyPatch) -> FakeCard:
    """Sessions that take the CPU for a card."""
    card = FakeCard()
    monkeypatch.setattr(sessions, "Cuda", lambda device: card)
    monkeypatch.setattr(sessions, "GRAPHED_ON", {"cpu"})
    return card


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_session_gives_what_it_gives_without_graphs(on_a_card: FakeCard, dtype: type, monkeypatch):
    torch.manual_seed(0)
    network: Any = UNet(UNetConfig(widths=(4, 8), blocks=1))
    session = Session(network, CPU)
    tiles = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (3, 32, 48, 3)).astype(dtype)
    answers = [session.restore(tiles, np.array([5.0, 25.0, 60.0])) for _ in range(3)]
    assert on_a_card.captures >= 2
    monkeypatch.setattr(sessions, "GRAPHED_ON", set())
    wanted, finite = Session(network, CPU).restore(tiles, np.array([5.0, 25.0, 60.0]))
    for answer, good in answers:
        assert answer.dtype == dtype
        assert np.abs(answer.astype(int) - wanted).max() <= (1 if dtype == np.uint8 else 40)
        assert np.array_equal(good, finite)


def test_codes_are_decoded_from_a_graph_too(on_a_card: FakeCard):
    session = Session(VAE(VAEConfig(height=12, width=12, widths=(4, 8), latent=5)), CPU)
    codes = session.draw(0, 0, 3)
    first, again = (session.decode(codes)[0] for _ in range(2))
    assert on_a_card.replays
    assert np.array_equal(first, again)
