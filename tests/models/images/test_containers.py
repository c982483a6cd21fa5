import numpy as np
from files import noise

from models import images
from models.images import Picture


def test_16_bits_in_more_than_one_band() -> None:
    samples = np.tile(noise(64, 64, 3, dtype=np.uint16), (10, 10, 1))
    for form in ("png", "tiff"):
        assert np.array_equal(images.read(images.write(Picture(samples), form, effort=1)).pixels, samples)
