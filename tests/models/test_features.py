import sys

import pytest
import torch

from models import features
from models.features import NoFeatures, extractor
from models.types import Needs

DIGITS = Needs(1, size=(28, 28))


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_features_come_with_the_program_and_are_the_same_in_any_batch(name: str):
    extract = extractor(name, DIGITS)
    pictures = torch.rand(5, 1, 28, 28)
    with torch.inference_mode():
        found = extract(pictures)
        alone = extract(pictures[3:4])
    assert found.shape == (5, 64)
    assert torch.allclose(found[3:4], alone, atol=1e-4)
    assert (found[0] - found[1]).abs().max() > 1e-3


def test_weights_that_changed_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(features.HASHES, "digits", "0" * 64)
    with pytest.raises(NoFeatures, match="digits"):
        extractor("digits", DIGITS)


@pytest.mark.parametrize("needs", [Needs(3, size=(28, 28)), Needs(1, size=(32, 32)), Needs(1)])
def test_pictures_that_they_are_not_of_are_refused(needs: Needs):
    with pytest.raises(NoFeatures, match="28x28"):
        extractor("digits", needs)


def test_what_comes_with_the_program_is_small():
    assert sum(path.stat().st_size for path in features.FOLDER.glob("*.safetensors")) < 500_000


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(NoFeatures, match=r"denoir\[fidelity\]"):
        extractor("objects", Needs(3, size=(64, 64)))


def test_features_of_objects_are_those_of_the_package_that_brings_them():
    pytest.importorskip("efficientnet_lite_pytorch")
    extract = extractor("objects", Needs(3, size=(64, 64)))
    with torch.inference_mode():
        seen = extract(torch.rand(2, 3, 64, 64))
        assert seen.shape == (2, 320)
        clear, white = torch.zeros(1, 4, 64, 64), torch.ones(1, 3, 64, 64)
        assert torch.allclose(extract(clear), extract(white), atol=1e-5)
