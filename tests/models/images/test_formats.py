import struct
import subprocess
import sys
from pathlib import Path

import pytest

from models import images
from models.images import ACCEPTED, ANSWERED, FORMATS, WRITTEN, UnsupportedFormat

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "data", [b"%!PS-Adobe-3.0", b"%PDF-1.7", b"8BPS\0\1", b"<svg/>", b"SIMPLE  = ", b"BMx", b"\0" * 40, b"x"]
)
def test_other_formats_are_never_opened(data: bytes) -> None:
    assert images.format_of(data) is None
    with pytest.raises(UnsupportedFormat, match=", ".join(ACCEPTED)):
        images.read(data * 100)


def branded(*brands: bytes) -> bytes:
    """The beginning of an ISO media file, the first brand its major one."""
    return struct.pack(">I", 12 + 4 * len(brands)) + b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:]) + bytes(100)


def test_heic_is_no_avif() -> None:
    assert images.format_of(branded(b"heic", b"mif1", b"heic")) in ("heic", None)
    assert images.format_of(branded(b"mif1", b"heix")) in ("heic", None)
    assert images.format_of(branded(b"mif1", b"avif", b"mif1")) in ("avif", None)
    assert images.format_of(branded(b"mif1", b"isom")) is None


def test_heic_is_told_where_it_is_read_and_not_elsewhere() -> None:
    code = """
import sys
if sys.argv[1] == "lacking": sys.modules["pillow_heif"] = None
from models import images
print("heic" in images.FORMATS, "HEIC" in images.ACCEPTED, images.format_of(bytes.fromhex(sys.argv[2])))
assert "heic" not in images.WRITTEN and ("pillow_heif" in sys.modules) == (sys.argv[1] == "lacking")
"""
    words = [sys.executable, "-c", code]
    for there, said in {"lacking": "False False None", "there": "True True heic"}.items():
        if there == "lacking" or "heic" in FORMATS:
            asked = [*words, there, branded(b"heic").hex()]
            assert subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip() == said


def test_what_comes_is_answered_in_kind_or_without_loss() -> None:
    assert set(ANSWERED) == set(FORMATS)
    assert set(ANSWERED.values()) == set(WRITTEN)
    for came, answer in ANSWERED.items():
        assert came == answer or (WRITTEN[answer].deep, WRITTEN[answer].alpha, WRITTEN[answer].lossy) == (
            True,
            True,
            False,
        )
