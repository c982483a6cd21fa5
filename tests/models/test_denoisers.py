from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, stocked
from PIL import Image

from models import denoisers
from models.autoencoder import AutoencoderConfig
from models.catalog import SHIPPED, Catalog, UnknownModel
from models.denoisers import Noise
from models.unet import UNetConfig

SMALL = UNetConfig(widths=(4, 8), blocks=1)


@pytest.mark.parametrize(
    ("names", "found", "wanted"),
    [
        (("photo", "photo-real"), Noise(0.0, False), "photo-real"),
        (("photo", "photo-real"), Noise(20.0, False), "photo-real"),
        (("photo", "photo-real"), Noise(4.0, True), "photo"),
        (("photo",), Noise(0.0, False), "photo"),
    ],
)
def test_white_noise_that_is_found_asks_for_its_own_denoiser(names: tuple, found: Noise, wanted: str, tmp_path: Path):
    catalog = Catalog.of(stocked(tmp_path, {name: (name, SMALL) for name in names}))
    assert denoisers.suited(catalog, found).description.name == wanted


def test_ones_own_by_that_name_may_be_for_anything(tmp_path: Path):
    other = ("denoise", AutoencoderConfig(height=12, width=10, widths=(4, 8), code=0))
    catalog = Catalog.of(stocked(tmp_path, {"photo": ("photo", SMALL), "photo-real": other}))
    assert denoisers.suited(catalog, Noise(0.0, False)).description.name == "photo"


def test_without_any_the_one_that_is_missed_is_named(tmp_path: Path):
    with pytest.raises(UnknownModel, match="photo"):
        denoisers.suited(Catalog.of(tmp_path), Noise(0.0, False))


@pytest.mark.parametrize(("sigma", "wanted"), [(0.0, "photo-real"), (2.5, "photo"), (8.0, "photo"), (25.0, "photo")])
def test_photographs_are_told_by_their_noise(sigma: float, wanted: str):
    with Image.open(SAMPLES / "bridge.jpg") as image:
        clean = np.asarray(image.convert("RGB")).astype(float)
    rng = np.random.default_rng(0)
    noisy = np.rint(np.clip(clean + sigma * rng.standard_normal(clean.shape), 0, 255)).astype(np.uint8)
    found = denoisers.found(noisy)
    assert found.level == pytest.approx(sigma, abs=1.5)
    assert denoisers.suited(Catalog.of(SHIPPED), found).description.name == wanted


@pytest.mark.parametrize(
    ("fine", "whole", "wanted"),
    [
        (1.4, 1.4, Noise(1.4, False)),  # too faint to be told from texture
        (2.0, 2.5, Noise(2.0, True)),
        (2.0, 0.0, Noise(1.0, False)),  # texture, it may be
        (0.0, 0.0, Noise(1.0, False)),
        (0.0, 0.9, Noise(1.0, False)),
        (0.0, None, Noise(0.0, False)),  # drawn, or a few pixels
        (4.0, None, Noise(4.0, True)),
        (2.0, 7.0, Noise(7.0, False)),  # coarser than white noise
        (4.0, 0.0, Noise(4.0, True)),
        (4.0, 15.0, Noise(15.0, False)),
        (8.0, 60.0, Noise(8.0, True)),
    ],
)
def test_noise_is_white_where_little_more_is_found_than_in_the_finest_detail(
    fine: float, whole: float | None, wanted: Noise, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(denoisers.noise, "estimate", lambda pixels, alpha: fine)
    monkeypatch.setattr(denoisers.grain, "estimate", lambda pixels, alpha: whole)
    assert denoisers.found(np.zeros((8, 8, 3), np.uint8)) == wanted
