from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, stocked
from PIL import Image

from models import denoisers, noise
from models.autoencoder import AutoencoderConfig
from models.catalog import SHIPPED, Catalog, UnknownModel
from models.unet import UNetConfig

SMALL = UNetConfig(widths=(4, 8), blocks=1)


@pytest.mark.parametrize(
    ("names", "found", "wanted"),
    [
        (("photo", "photo-real"), 0.0, "photo-real"),
        (("photo", "photo-real"), denoisers.WHITE_FROM - 0.01, "photo-real"),
        (("photo", "photo-real"), denoisers.WHITE_FROM, "photo"),
        (("photo",), 0.0, "photo"),
    ],
)
def test_white_noise_that_is_found_asks_for_its_own_denoiser(names: tuple, found: float, wanted: str, tmp_path: Path):
    catalog = Catalog.of(stocked(tmp_path, dict.fromkeys(names, ("photo", SMALL))))
    assert denoisers.suited(catalog, found).description.name == wanted


def test_ones_own_by_that_name_may_be_for_anything(tmp_path: Path):
    other = ("denoise", AutoencoderConfig(height=12, width=10, widths=(4, 8), code=0))
    catalog = Catalog.of(stocked(tmp_path, {"photo": ("photo", SMALL), "photo-real": other}))
    assert denoisers.suited(catalog, 0.0).description.name == "photo"


def test_without_any_the_one_that_is_missed_is_named(tmp_path: Path):
    with pytest.raises(UnknownModel, match="photo"):
        denoisers.suited(Catalog.of(tmp_path), 0.0)


@pytest.mark.parametrize(("sigma", "wanted"), [(0.0, "photo-real"), (8.0, "photo"), (25.0, "photo")])
def test_photographs_are_told_by_their_noise(sigma: float, wanted: str):
    with Image.open(SAMPLES / "bridge.jpg") as image:
        clean = np.asarray(image.convert("RGB")).astype(float)
    rng = np.random.default_rng(0)
    noisy = np.rint(np.clip(clean + sigma * rng.standard_normal(clean.shape), 0, 255)).astype(np.uint8)
    found = noise.estimate(noisy)
    assert denoisers.suited(Catalog.of(SHIPPED), found).description.name == wanted
