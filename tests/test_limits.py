"""What docs/limits.md promises is held by tests that are there, and set by settings that have those defaults."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
from files import encoded, noise, png, png16, scene, tiff
from PIL import Image, ImageCms

from models import images
from models.images import FORMATS
from service.settings import Settings
from tests.hostile.pictures import VALID, grained

ROOT = Path(__file__).parent.parent
LINES = re.findall(r"^\| (\d+) \|.*$", (ROOT / "docs" / "limits.md").read_text(), re.MULTILINE)
TOLD = (ROOT / "docs" / "limits.md").read_text()


def test_there_is_a_line_for_each():
    assert [int(number) for number in LINES] == list(range(1, 40))


def test_every_line_names_a_test_and_every_test_that_is_named_is_there():
    there = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert set(re.findall(r"`(test_\w+)`", TOLD)) <= there
    assert [line for line in TOLD.splitlines() if re.match(r"\| \d+ \|", line) and "`test_" not in line] == []


@pytest.mark.parametrize(("name", "default"), re.findall(r"`DENOIR_(\w+)` \((.*?\)?)\)(?=[, ])", TOLD))
def test_every_setting_has_the_default_that_is_told(name: str, default: str):
    field = Settings.model_fields[name.lower()]
    if default != "on the machine":
        assert str(field.get_default()) == default


def lab() -> Image.Image:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return ImageCms.applyTransform(scene(), to_lab)  # type: ignore[return-value]


def deep(channels: int) -> list[bytes]:
    samples, more = noise(4, 4, channels, dtype=np.uint16), {} if channels in (1, 3) else {"t338": 2}
    return [png16(samples), tiff(samples, **more)]


def bmp_with_alpha() -> bytes:
    """One row of two pixels, with masks that name the alpha (BITMAPV4HEADER)."""
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII4I52x", 108, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0, *masks)
    return struct.pack("<2sIHHI", b"BM", 14 + len(head) + 8, 0, 0, 14 + len(head)) + head + bytes(range(8))


FLOATS = np.zeros((2, 2, 3), np.float32)
TWELVE = tiff(np.full((1, 2, 1), 0xFFFF, np.uint16))
MADE = {
    "PNG, TIFF or BMP of black and white": [encoded(scene("1"), form) for form in ("PNG", "TIFF", "BMP")],
    "PNG of 2 or 4 bits of grey": [png(8, 1, bits, 0, [bytes(bits)]) for bits in (2, 4)],
    "grey": [encoded(scene("L"), form) for form in ("PNG", "JPEG", "TIFF", "BMP")],
    "grey with alpha": [VALID["png grey alpha"]],
    "grey, one of which is named transparent": [encoded(scene("L"), "PNG", transparency=9)],
    "palette, all of it grey": [encoded(scene("L").quantize(8), form) for form in ("PNG", "TIFF", "BMP")],
    "palette": [encoded(grained("P"), form) for form in ("PNG", "TIFF", "BMP", "GIF")],
    "palette with transparency": [VALID["png keyed palette"]],
    "GIF that lets something through": [VALID["gif transparent"]],
    "RGB": [encoded(scene(), form) for form in ("PNG", "JPEG", "TIFF", "BMP")],
    "RGB, one of which is named transparent": [encoded(scene(), "PNG", transparency=(200, 40, 40))],
    "BMP of 32 bits with alpha": [bmp_with_alpha()],
    "RGB with alpha": [encoded(grained("RGBA"), form) for form in ("PNG", "TIFF")],
    "PNG or TIFF of 16 bits of grey": deep(1),
    "PNG or TIFF of 16 bits of grey with alpha": deep(2),
    "PNG or TIFF of 16 bits of RGB": deep(3),
    "PNG or TIFF of 16 bits of RGB with alpha": deep(4),
    "TIFF of 12 bits of grey": [
        TWELVE.replace(struct.pack("<HHIH", 258, 3, 1, 16), struct.pack("<HHIH", 258, 3, 1, 12))
    ],
    "TIFF of floating point grey, of 16, 32 or 64 bits": [
        tiff(FLOATS[..., :1].astype(kind), t339=3) for kind in (np.float16, np.float32, np.float64)
    ],
    "TIFF of floating point RGB": [tiff(FLOATS, t339=3)],
    "TIFF of floating point RGB with alpha": [tiff(np.zeros((2, 2, 4), np.float32), t338=2, t339=3)],
    "JPEG or TIFF of CMYK": [encoded(scene("CMYK"), form) for form in ("JPEG", "TIFF")],
    "TIFF of YCbCr or LAB": [encoded(one, "TIFF") for one in (scene("YCbCr"), lab())],
    "WebP": [encoded(scene(mode), "WEBP") for mode in ("L", "RGB")],
    "WebP or AVIF with alpha": [encoded(grained("RGBA"), form) for form in ("WEBP", "AVIF") if form.lower() in FORMATS],
}
BECOMES = dict(re.findall(r"^\| ([^|`]+) \| ((?:grey|colours), [^|]+) \|$", TOLD, re.MULTILINE))


def test_every_make_is_told_of():
    assert list(MADE) == list(BECOMES)


@pytest.mark.parametrize("what", MADE)
def test_a_picture_becomes_what_is_told(what: str):
    for data in MADE[what]:
        picture = images.read(data)
        colours = "grey" if picture.pixels.shape[2] == 1 else "colours"
        alpha = "" if picture.alpha is None else ", alpha"
        assert f"{colours}, {picture.depth} bits{alpha}" == BECOMES[what]
