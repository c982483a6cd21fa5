import pickle

import pytest

from models.images import (
    AnimatedPicture,
    DamagedPicture,
    EmptyPicture,
    PictureError,
    PictureTooLarge,
    UnsupportedDepth,
    UnsupportedFormat,
)


@pytest.mark.parametrize(
    "error",
    [
        EmptyPicture(),
        UnsupportedFormat(),
        DamagedPicture(),
        PictureTooLarge(9, 8, 7, 6),
        AnimatedPicture(),
        UnsupportedDepth("32-bit samples"),
    ],
)
def test_errors_cross_a_process_border(error: PictureError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    assert str(error).endswith(".")
