import numpy as np
import pytest
from files import noise

from models.images import Picture


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_on_white_paper(dtype: type) -> None:
    peak = int(np.iinfo(dtype).max)
    pixels, alpha = np.full((1, 3, 3), 100, dtype), np.array([[0, peak // 2, peak]], dtype)
    assert np.allclose(Picture(pixels, alpha).on_white[0, :, 0], [peak, (100 + peak) / 2, 100], atol=1)
    assert Picture(pixels).on_white is pixels


@pytest.mark.parametrize(
    "fields", [(noise(4, 4),), (noise(4, 4, 4),), (noise(4, 4, 3).astype(float),), (noise(4, 4, 3), noise(3, 4))]
)
def test_a_picture_is_what_it_says(fields: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Picture(*fields)
