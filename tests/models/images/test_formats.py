import struct

import pytest

from models import images
from models.images import ACCEPTED, UnsupportedFormat


@pytest.mark.parametrize(
    "data", [b"%!PS-Adobe-3.0", b"%PDF-1.7", b"8BPS\0\1", b"<svg/>", b"SIMPLE  = ", b"BMx", b"\0" * 40, b"x"]
)
def test_other_formats_are_never_opened(data: bytes) -> None:
    assert images.format_of(data) is None
    with pytest.raises(UnsupportedFormat, match=", ".join(ACCEPTED)):
        images.read(data * 100)


def test_heic_is_no_avif() -> None:
    assert images.format_of(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100)) is None
    assert images.format_of(struct.pack(">I", 24) + b"ftypmif1\0\0\0\0avifmif1" + bytes(100)) in ("avif", None)
