"""Picture files, by an encoder or put together by hand."""

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MAKER, EXIF_IFD, GPS_IFD = 274, 271, 34665, 34853


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = BytesIO()
    if form.lower() == "heic":
        return heic(image, **options)
    image.save(stream, form, **options)
    return stream.getvalue()


def scene(mode: str = "RGB") -> Image.Image:
    """A small picture that survives lossy formats, no two quarters alike."""
    image = Image.new("RGB", (24, 16), (200, 40, 40))
    draw = ImageDraw.Draw(image)
    draw.rectangle((12, 0, 23, 7), (40, 180, 60))
    draw.rectangle((0, 8, 11, 15), (50, 60, 210))
    return image.convert(mode)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int, kind: int, rows: Iterable[bytes] = (), before: bytes = b"") -> bytes:
    """A PNG put together by hand. Kind: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + chunk(b"IEND", b"")


def png16(samples: np.ndarray, before: bytes = b"") -> bytes:
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]]
    return png(samples.shape[1], samples.shape[0], 16, kind, (row.astype(">u2").tobytes() for row in samples), before)


def tiff(samples: np.ndarray, end: str = "<", photometric: int | None = None, **more: int) -> bytes:
    """An uncompressed TIFF put together by hand from `h w c`; `more`: tags by number, as in t338=2."""
    height, width, channels = samples.shape
    photometric = (1 if channels < 3 else 2) if photometric is None else photometric
    values = {256: width, 257: height, 259: 1, 262: photometric, 277: channels, 278: height, 279: samples.nbytes}
    values |= {int(name[1:]): value for name, value in more.items()}
    bits = struct.pack(f"{end}{channels}H", *[8 * samples.itemsize] * channels)
    entries = len(values) + 2
    aside = 8 + 2 + 12 * entries + 4
    packed = {tag: struct.pack(f"{end}HHII", tag, 4, 1, value) for tag, value in values.items()}
    packed[258] = struct.pack(f"{end}HHI", 258, 3, channels)
    packed[258] += bits.ljust(4, b"\0") if len(bits) <= 4 else struct.pack(f"{end}I", aside)
    packed[273] = struct.pack(f"{end}HHII", 273, 4, 1, aside + len(bits))
    directory = struct.pack(f"{end}H", entries) + b"".join(packed[tag] for tag in sorted(packed)) + b"\0\0\0\0"
    head = (b"II" if end == "<" else b"MM") + struct.pack(f"{end}HI", 42, 8)
    return head + directory + bits + samples.astype(samples.dtype.newbyteorder(end)).tobytes()


PACKERS = {
    1: bytes,
    5: lambda data: lzw(data),
    7: lambda data: encoded(Image.frombytes("L", (len(data) // 16, 16), data), "JPEG"),
    8: zlib.compress,
    32773: lambda data: packbits(data),
}
"""By what TIFF calls a compression: none, LZW, JPEG (of 16 rows of grey), deflate, PackBits."""


def lzw(data: bytes) -> bytes:
    """Literals of 9 bits, the table cleared before any code needs 10."""
    codes = [code for at in range(0, len(data), 250) for code in (256, *data[at : at + 250])]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def packbits(data: bytes) -> bytes:
    """Literals, and runs of two or more as runs."""
    packed, at = b"", 0
    while at < len(data):
        run = next((n for n in range(1, 128) if data[at + n : at + n + 1] != data[at : at + 1]), 128)
        packed += bytes([257 - run if run > 1 else 0, data[at]])
        at += run
    return packed


def laid_tiff(
    samples: np.ndarray,
    end: str = "<",
    compression: int = 1,
    tiled: bool = False,
    planar: bool = False,
    differences: bool = False,
    **more: int,
) -> bytes:
    """A TIFF put together by hand from `h w c`, in strips of 16 rows or tiles of 16 x 32; `more`: tags, as t338=2."""
    height, width, channels = samples.shape
    across, pieces = 32 if tiled else width, []
    for plane in np.split(samples, channels, 2) if planar else [samples]:
        for top in range(0, height, 16):
            for left in range(0, width, across):
                piece = plane[top : top + 16, left : left + across]
                lacking = (16 - len(piece) if tiled else 0, across - piece.shape[1])
                piece = np.pad(piece, ((0, lacking[0]), (0, lacking[1]), (0, 0)))
                if differences and piece.dtype.kind == "f":
                    piece = by_bytes(piece)
                elif differences:
                    piece = np.diff(piece, axis=1, prepend=np.zeros_like(piece[:, :1]))
                rows = piece.astype(piece.dtype.newbyteorder(end))
                pieces.append(PACKERS[compression](rows.tobytes()))
    tags: dict[int, tuple[int, ...]] = {256: (width,), 257: (height,), 258: (8 * samples.itemsize,) * channels}
    tags |= {259: (compression,), 262: (1 if channels < 3 else 2,), 277: (channels,), 284: (1 + planar,)}
    predictor = 1 if not differences else 3 if samples.dtype.kind == "f" else 2
    tags |= {317: (predictor,)} | {int(name[1:]): (value,) for name, value in more.items()}
    tags |= {322: (32,), 323: (16,)} if tiled else {278: (16,)}
    tags |= {325 if tiled else 279: tuple(map(len, pieces))}
    where = 324 if tiled else 273
    directory = longs(tags | {where: (0,) * len(pieces)}, end, 8)
    places = tuple(8 + len(directory) + sum(map(len, pieces[:number])) for number in range(len(pieces)))
    head = (b"II" if end == "<" else b"MM") + struct.pack(f"{end}HI", 42, 8)
    return b"".join([head, longs(tags | {where: places}, end, 8), *pieces])


def bigtiff(samples: np.ndarray) -> bytes:
    """A TIFF with places of 64 bits put together by hand from `h w c` of 8 bits."""
    height, width, channels = samples.shape
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1 if channels < 3 else 2, 277: channels, 278: height}
    tags |= {273: 16 + 8 + 20 * 9 + 8, 279: samples.nbytes}
    bits = {258: struct.pack(f"<HHQ{channels}H", 258, 3, channels, *[8] * channels).ljust(20, b"\0")}
    entries = {tag: struct.pack("<HHQQ", tag, 16, 1, value) for tag, value in tags.items()} | bits
    directory = struct.pack("<Q", len(tags)) + b"".join(entries[tag] for tag in sorted(tags)) + bytes(8)
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + directory + samples.tobytes()


def by_bytes(piece: np.ndarray) -> np.ndarray:
    """Floating point numbers `h w c`, the highest bytes of a row first, each the difference from its pixel's before."""
    highest_first = piece.astype(piece.dtype.newbyteorder(">"), order="C").view(np.uint8)
    rows = highest_first.reshape(len(piece), -1, piece.itemsize).swapaxes(1, 2).reshape(len(piece), -1, piece.shape[2])
    return np.diff(rows, axis=1, prepend=np.zeros_like(rows[:, :1]))


def longs(tags: dict[int, tuple[int, ...]], end: str, place: int) -> bytes:
    """A TIFF's directory that stands at `place`, every value of four bytes, those of more than one behind it."""
    behind, entries = b"", struct.pack(f"{end}H", len(tags))
    after = place + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{end}{len(values)}I", *values)
        there = packed if len(values) == 1 else struct.pack(f"{end}I", after + len(behind))
        entries += struct.pack(f"{end}HHI", tag, 4, len(values)) + there
        behind += b"" if len(values) == 1 else packed
    return entries + bytes(4) + behind


def heic(picture: Image.Image | np.ndarray, bits: int = 8, quality: int = -1, **options: Any) -> bytes:
    """A HEIC, without loss: of an image, or of uint16 `h w c` whose upper `bits` are coded."""
    import pillow_heif

    if isinstance(picture, np.ndarray):
        mode = {1: "I;16", 3: "RGB;16", 4: "RGBA;16"}[picture.shape[2]]
        coded = pillow_heif.from_bytes(mode, (picture.shape[1], picture.shape[0]), picture.tobytes())
        options["bit_depth"] = bits
    else:
        coded = pillow_heif.from_pillow(picture if picture.mode in ("L", "RGB", "RGBA") else picture.convert("RGB"))
    for other in options.pop("append_images", ()):
        coded.add_from_pillow(other)
    coded.info["icc_profile"] = options.pop("icc_profile", None)
    stream = BytesIO()
    coded.save(
        stream, quality=quality, chroma=444, **(options if quality > 0 else {"matrix_coefficients": 0} | options)
    )
    return stream.getvalue()


def exif_with(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()
