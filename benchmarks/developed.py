"""Noisy photographs as a raw converter that is not ours develops them: `python -m benchmarks.developed PHOTOS FOLDER`.

`models.camera` makes the noise that `photo-real` and its estimator of levels learn from, and so can't tell how they
fare on another's. Here cuts out of PHOTOS, which neither may have learned from, are enlarged, taken back to a sensor's
light by a camera's colours and noise, written as raw files (DNG) and developed by RawTherapee: one of six ways to
demosaic, its own noise reduction, sharpening, a film's tone curve or none, JPEG. FOLDER gets for each of them
`NAME_real.png` beside `NAME_mean.png`, the mean of so many other shots as photographs of still scenes are measured
by, and `python -m benchmarks.quality --real FOLDER` measures on it. With `--shots` it is the photographs that a
training does learn from, and FOLDER gets a folder for each with so many shots of it, as `denoir train --scenes` takes
them; with `--clean` one picture of each, without noise. RawTherapee 5.9 or later must be installed (`apt-get install
rawtherapee`), and tifffile, which scikit-image brings.
"""

import argparse
import io
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
import torch
from PIL import Image
from tqdm import trange

from models import data
from models.bayer import mosaicked
from models.camera import RGB_TO_XYZ, XYZ_TO_CAMERA, log_read_noise
from models.types import GREY_LEVELS, Pixels

SHOTS, TAKEN, KEPT = 10, 640, 512
"""Shots that the mean is of; sides in pixels of what is developed, and of the middle that is kept."""
SHARPER, SOFTER = 1.2, 2.2
"""How much a cut is enlarged, as a camera's picture is soft where it is seen pixel by pixel."""
SHOT_NOISE = (1e-4, 4e-3)
"""Its variance at white, of a sensor of [0, 1]; read noise follows it as `models.camera` has it."""
BLACK, WHITE = 1_024, 16_383
"""Of a sensor of 14 bits."""
EXPOSURE = 0.85
"""Of white, of what fills the sensor."""
RED_GREEN_GREEN_BLUE = bytes((0, 1, 1, 2))
FILM = "1;0;0;0.11;0.09;0.32;0.43;0.66;0.87;1;1;"
"""RawTherapee's own curve for films."""
DEMOSAICKING = ("amaze", "rcd", "lmmse", "igv", "dcb", "ahd")
PROFILE = """[Exposure]
Auto=false
Compensation={compensation:.2f}
HistogramMatching=false
CurveMode=FilmLike
Curve={curve}
[Sharpening]
Enabled={sharpened}
Contrast=10
Method=usm
Radius={radius:.2f}
BlurRadius=0.2
Amount={amount}
Threshold=20;80;2000;1200;
OnlyEdges=false
[Directional Pyramid Denoising]
Enabled={calmed}
Median=true
Luma={luma}
Ldetail={detail}
Chroma={chroma}
Method=Lab
LMethod=SLI
CMethod={chroma_told}
C2Method=AUTO
SMethod=shal
MedMethod=55
RGBMethod=soft
MethodMed=Lpab
Redchro=0
Bluechro=0
Gamma=1.7
Passes=1
LCurve=0;
CCCurve=0;
[RAW Bayer]
Method={demosaicking}
CcSteps={median}
"""
"""Of RawTherapee, `.pp3`; what is not told here is as it comes."""


class Sensor(NamedTuple):
    """What a sensor sees without noise, `h w` in [0, 1], its matrix `3 3` from XYZ, and its answer to white, `3`."""

    mosaic: np.ndarray
    matrix: np.ndarray
    white: np.ndarray


def main() -> None:
    asked = argparse.ArgumentParser("python -m benchmarks.developed", description=__doc__)
    asked.add_argument("photos", type=Path, help="folder of photographs")
    asked.add_argument("folder", type=Path, help="that is written to")
    asked.add_argument("--count", type=int, default=68, help="of pairs, or of scenes (default: 68)")
    learned = asked.add_mutually_exclusive_group()
    learned.add_argument("--shots", type=int, help="so many of each photograph that is learned from")
    learned.add_argument("--clean", action="store_true", help="the photographs that are learned from, without noise")
    given = asked.parse_args()
    pictures = data.load(given.photos)
    shots = 1 if given.clean else given.shots
    for number in trange(given.count):
        some = pictures.train if shots else pictures.held_out
        picture = data.as_colour(some[number % len(some)]).permute(1, 2, 0).numpy()
        if shots:  # drawn otherwise than what is measured on
            files = taken(picture, shots, np.random.default_rng([number, shots]), noisy=not given.clean)
            write_shots(given.folder / f"{number:03d}", files)
        else:
            write_pair(given.folder, f"{number:03d}", taken(picture, 1 + SHOTS, np.random.default_rng(number)))


def write_pair(folder: Path, name: str, files: list[bytes]) -> None:
    """The first shot, and the mean of the others."""
    folder.mkdir(parents=True, exist_ok=True)
    first, *others = (np.asarray(Image.open(io.BytesIO(file))) for file in files)
    Image.fromarray(first).save(folder / f"{name}_real.png")
    Image.fromarray(np.rint(np.mean(others, axis=0)).astype(np.uint8)).save(folder / f"{name}_mean.png")


def write_shots(folder: Path, files: list[bytes]) -> None:
    """As they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        (folder / f"{number}.jpg").write_bytes(file)


def taken(picture: Pixels, count: int, random: np.random.Generator, noisy: bool = True) -> list[bytes]:
    """So many shots of a cut out of a picture, developed alike: JPEGs."""
    sensor = seen(enlarged(picture, random), random)
    shot = np.exp(random.uniform(*np.log(SHOT_NOISE)))
    read = np.exp(log_read_noise(np.log(shot), random.normal()))
    profile = drawn(random)
    quality, halved = int(random.integers(90, 99)), int(random.integers(3))
    noise = noisy * np.sqrt(shot * sensor.mosaic + read) * random.normal(size=(count, *sensor.mosaic.shape))
    with tempfile.TemporaryDirectory() as folder:
        return [as_jpeg(developed(sensor, one, profile, Path(folder)), quality, halved) for one in noise]


def enlarged(picture: Pixels, random: np.random.Generator) -> Pixels:
    """A cut out of a picture, `TAKEN TAKEN 3`."""
    side = min(int(TAKEN / random.uniform(SHARPER, SOFTER)), *picture.shape[:2])
    top, left = (int(random.integers(size - side + 1)) for size in picture.shape[:2])
    cut = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(cut.resize((TAKEN, TAKEN), Image.Resampling.LANCZOS))


def seen(picture: Pixels, random: np.random.Generator) -> Sensor:
    """What the sensor of one of the cameras sees of a picture in sRGB."""
    matrix = np.array(XYZ_TO_CAMERA[random.integers(len(XYZ_TO_CAMERA))])
    colours = matrix @ np.array(RGB_TO_XYZ)
    white = colours.sum(1)
    light = np.clip(EXPOSURE * linear(picture / GREY_LEVELS) @ colours.T / white.max(), 0, 1)
    mosaic = mosaicked(torch.from_numpy(light).permute(2, 0, 1)[None], (0, 0))[0, 0].numpy()
    return Sensor(mosaic, matrix, white / white[1])


def linear(encoded: np.ndarray) -> np.ndarray:
    """sRGB -> light (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def drawn(random: np.random.Generator) -> str:
    """A profile by which all shots of a pair are developed."""
    film = random.random() < 0.6
    return PROFILE.format(
        compensation=random.uniform(-0.9, -0.2) if film else random.uniform(-0.2, 0.5),
        curve=FILM if film else "0;",
        sharpened=str(random.random() < 0.8).lower(),
        radius=random.uniform(0.5, 1.5),
        amount=random.integers(80, 300),
        calmed=str(random.random() < 0.95).lower(),
        luma=random.integers(15, 75),
        detail=random.integers(20, 70),
        chroma=random.integers(5, 40),
        chroma_told="AUT" if random.random() < 0.5 else "MAN",
        demosaicking=random.choice(DEMOSAICKING),
        median=random.integers(3),
    )


def developed(sensor: Sensor, noise: np.ndarray, profile: str, folder: Path) -> Pixels:
    """The middle of what RawTherapee makes of a shot. Raises `subprocess.CalledProcessError`."""
    raw, told, answer = folder / "shot.dng", folder / "shot.pp3", folder / "shot.tif"
    write_raw(raw, sensor, noise)
    told.write_text(profile)
    command = ["rawtherapee-cli", "-q", "-o", answer, "-t", "-b8", "-p", told, "-Y", "-c", raw]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(answer) as image:
        pixels = np.asarray(image.convert("RGB"))
    margin = (TAKEN - KEPT) // 2
    return pixels[margin : margin + KEPT, margin : margin + KEPT]


def write_raw(path: Path, sensor: Sensor, noise: np.ndarray) -> None:
    """A raw file (Adobe, DNG 1.4: the tags by their numbers)."""
    levels = np.clip(np.rint(BLACK + (sensor.mosaic + noise) * (WHITE - BLACK)), 0, WHITE).astype(np.uint16)
    tags = [
        (33421, "H", 2, (2, 2)),  # CFARepeatPatternDim
        (33422, "B", 4, RED_GREEN_GREEN_BLUE),  # CFAPattern
        (50706, "B", 4, bytes((1, 4, 0, 0))),  # DNGVersion
        (50707, "B", 4, bytes((1, 2, 0, 0))),  # DNGBackwardVersion
        (50708, "s", 0, "denoir"),  # UniqueCameraModel
        (50714, "H", 1, BLACK),  # BlackLevel
        (50717, "H", 1, WHITE),  # WhiteLevel
        (50721, "2i", 9, ratios(sensor.matrix)),  # ColorMatrix1
        (50728, "2I", 3, ratios(sensor.white)),  # AsShotNeutral
        (50778, "H", 1, 21),  # CalibrationIlluminant1: D65
    ]
    tifffile.imwrite(path, levels, photometric="cfa", extratags=tags)


def ratios(values: np.ndarray) -> tuple[int, ...]:
    """Numbers as TIFF's fractions, in ten thousandths."""
    return tuple(int(number) for value in values.ravel() for number in (round(value * 10_000), 10_000))


def as_jpeg(pixels: Pixels, quality: int, halved: int) -> bytes:
    """`halved` as Pillow's `subsampling`."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=halved)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
