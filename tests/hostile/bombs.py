"""Files that are small and ask for much: memory, time, depth. Each is made when it is asked for."""

import struct
import zlib
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from files import SRGB, chunk, encoded, png, scene, tiff
from PIL import Image

from models.images import FORMATS

HUGE = 60_000
"""A side that a format can declare: its square is 72 times what is accepted."""

LARGE = 7000
"""A side whose square is just within the limit of 50 million pixels."""

ZEROS = 200_000_000
"""Bytes that deflate to 200 kB."""


def deflated(size: int) -> bytes:
    """So many zeros, packed."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(min(1 << 20, size - at))) for at in range(0, size, 1 << 20)]
    return b"".join([*parts, packer.flush()])


def within_png(*chunks: bytes) -> bytes:
    """A valid PNG of two pixels with those chunks before its pixels."""
    return png(2, 1, 8, 2, [bytes(6)], b"".join(chunks))


def png_claiming(width: int, height: int) -> bytes:
    return png(width, height, 8, 2)


def png_of_much_data(size: int) -> bytes:
    """Two pixels declared, and pixels by the million in the data."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", deflated(size)) + chunk(b"IEND", b"")


def apng(frames: int) -> bytes:
    return within_png(chunk(b"acTL", struct.pack(">II", frames, 0)))


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def within_jpeg(*segments: bytes, mode: str = "RGB") -> bytes:
    """A valid JPEG with those segments at its beginning."""
    whole = encoded(scene(mode), "JPEG")
    return whole[:2] + b"".join(segments) + whole[2:]


def jpeg_claiming(width: int, height: int, **options: bool) -> bytes:
    data = bytearray(encoded(scene(), "JPEG", **options))
    at = next(data.index(bytes([0xFF, kind])) for kind in (0xC0, 0xC2) if bytes([0xFF, kind]) in data)
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_of_many_scans(scans: int, side: int) -> bytes:
    """A progressive JPEG of one grey, the shortest of whose scans, which refines nothing, comes again and again."""
    whole = encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    starts = [at for at in range(len(whole)) if whole.startswith(b"\xff\xda", at)]
    tables = [whole.rindex(b"\xff\xc4", 0, at) for at in starts]
    parts = [whole[first:last] for first, last in pairwise([*tables, len(whole) - 2])]
    again = min(parts[1:], key=len)
    return whole[:-2] + again * scans + whole[-2:]


def exif(directory: bytes) -> bytes:
    """An EXIF segment with that first directory, which begins at byte 8."""
    return segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + directory)


def directory(*entries: tuple[int, int, int, int], after: int = 0) -> bytes:
    """Of a little-endian TIFF: (tag, type, count, value or place) each, and where the next one is."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<I", after)


def tiff_of(*entries: tuple[int, int, int, int], after: int = 0, data: bytes = b"") -> bytes:
    return b"II*\0\x08\0\0\0" + directory(*sorted(entries), after=after) + data


def grey_tiff(width: int, height: int, *more: tuple[int, int, int, int], after: int = 0, data: bytes = b"") -> bytes:
    """The tags that an 8-bit grey TIFF needs, but for where its pixels are."""
    usual = ((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1))
    return tiff_of(*usual, *more, after=after, data=data)


def tiff_of_strips(count: int, compression: int = 1, rows: int = 0) -> bytes:
    """Very many strips, all of them the same few bytes."""
    place = 8 + 2 + 12 * 9 + 4
    offsets = struct.pack("<I", 8) * count
    lengths = struct.pack("<I", 4) * count
    strips = (259, 3, 1, compression), (278, 4, 1, 1), (273, 4, count, place), (279, 4, count, place + len(offsets))
    return grey_tiff(4, rows or count, *strips, data=offsets + lengths)


def tiff_of_tiles(side: int, tile: int = 16) -> bytes:
    """Declared pixels within the limit, in tiles that are all missing."""
    count = (-(-side // tile)) ** 2
    place = 8 + 2 + 12 * 10 + 4
    tiles = (259, 3, 1, 8), (322, 4, 1, tile), (323, 4, 1, tile), (324, 4, count, place), (325, 4, count, place)
    return grey_tiff(side, side, *tiles, data=struct.pack("<I", 8) * count)


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    packed = b"".join(name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for name, body in chunks)
    return b"RIFF" + struct.pack("<I", len(packed) + 4) + b"WEBP" + packed


def webp_canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def webp_pixels() -> tuple[bytes, bytes]:
    """The coded pixels of a lossy one."""
    data = encoded(scene(), "WEBP")
    return b"VP8 ", data[20:]


def webp_film(frames: int) -> bytes:
    pixels = webp_pixels()
    inner = pixels[0] + struct.pack("<I", len(pixels[1])) + pixels[1]
    head = bytes(6) + (23).to_bytes(3, "little") + (15).to_bytes(3, "little") + bytes(4)
    return webp(webp_canvas(24, 16, 2), (b"ANIM", bytes(6)), *[(b"ANMF", head + inner)] * frames)


def webp_claiming(width: int, height: int) -> bytes:
    data = bytearray(encoded(scene(), "WEBP"))
    at = data.index(b"\x9d\x01\x2a")
    data[at + 3 : at + 7] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp(width: int, height: int, bits: int, compression: int, data: bytes, colours: int = 0) -> bytes:
    start = 54 + 4 * colours
    head = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, colours, 0)
    return head + info + bytes(4 * colours) + data


def gif(width: int, height: int, *blocks: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + b"".join(blocks) + b";"


def gif_frame(width: int, height: int, left: int = 0) -> bytes:
    """A frame of hardly any data: enough for a side of 4, and no more."""
    data = encoded(Image.new("P", (4, 4)), "GIF")
    at = data.index(b"," + bytes(4))
    return b"," + struct.pack("<HHHH", left, 0, width, height) + data[at + 9 : -1]


def gif_comment(size: int) -> bytes:
    return b"!\xfe" + (b"\xff" + bytes(255)) * (size // 255) + b"\0"


def box(name: bytes, body: bytes) -> bytes:
    """A box of an ISO media file."""
    return struct.pack(">I", len(body) + 8) + name + body


def avif_claiming(width: int, height: int) -> bytes:
    data = bytearray(encoded(scene(), "AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


FTYP = box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")


def avif_nested(depth: int) -> bytes:
    """Boxes within boxes; one that has no place for its length says that it goes on to the end."""
    return FTYP + (struct.pack(">I", 0) + b"meta\0\0\0\0") * depth


def avif_of_items(count: int) -> bytes:
    """A table of very many coded images, none of which is there."""
    places = b"".join(struct.pack(">HHIHII", number, 0, 0, 1, 0, 100) for number in range(count))
    infos = b"".join(box(b"infe", struct.pack(">IHH", 2 << 24, number, 0) + b"av01\0") for number in range(count))
    inside = box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + box(b"pitm", struct.pack(">IH", 0, 1))
    inside += box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0x40, count) + places)
    inside += box(b"iinf", struct.pack(">IH", 0, count) + infos)
    return FTYP + box(b"meta", bytes(4) + inside)


def avif_film() -> bytes:
    return encoded(scene(), "AVIF", save_all=True, append_images=[scene().rotate(180)] * 3)


def profile_of_tags(count: int) -> bytes:
    """A colour profile for inks whose table claims more tags than it has."""
    head = struct.pack(">I4sI4s4s4s", 200, b"", 0x02400000, b"prtr", b"CMYK", b"Lab ") + bytes(12) + b"acsp"
    return head.ljust(128, b"\0") + struct.pack(">I", count) + struct.pack(">4sII", b"A2B0", 132, 0xFFFFFFF0)


def profiled(profile: bytes) -> bytes:
    """A CMYK JPEG, whose profile is not only kept but used."""
    return encoded(scene("CMYK"), "JPEG", icc_profile=profile)


READ = "read"
"""What is answered with 200."""

Bomb = tuple[Callable[[], bytes], str]
"""Makes the file; and what it is answered with, as the slug of a problem or READ. `or` between two that will do."""

TOO_LARGE, DAMAGED, ANIMATED, EITHER = "image-too-large", "damaged-image", "animated", f"{READ} or damaged-image"

BOMBS: dict[str, Bomb] = {
    "png size": (lambda: png_claiming(HUGE, HUGE), TOO_LARGE),
    "png no pixels": (lambda: png_claiming(LARGE, LARGE).replace(chunk(b"IDAT", zlib.compress(b"")), b""), DAMAGED),
    "png no data": (lambda: png_claiming(LARGE, LARGE), DAMAGED),
    "png text": (lambda: within_png(chunk(b"zTXt", b"a\0\0" + deflated(ZEROS))), DAMAGED),
    "png texts": (lambda: within_png(*[chunk(b"zTXt", b"a\0\0" + deflated(1_000_000))] * 200), DAMAGED),
    "png text in unicode": (lambda: within_png(chunk(b"iTXt", b"a\0\1\0\0\0" + deflated(ZEROS))), DAMAGED),
    "png profile": (lambda: within_png(chunk(b"iCCP", b"a\0\0" + deflated(ZEROS))), EITHER),
    "png exif": (lambda: within_png(chunk(b"eXIf", b"II*\0\x08\0\0\0" + bytes(20_000_000))), EITHER),
    "png chunks": (lambda: within_png(*[chunk(b"tEXt", b"a\0b")] * 50_000), EITHER),
    "png unknown chunks": (lambda: within_png(*[chunk(b"abCd", b"")] * 50_000), EITHER),
    "png data": (lambda: png_of_much_data(ZEROS), EITHER),
    "png frames": (lambda: apng(2**31 - 1), ANIMATED),
    "jpeg size": (lambda: jpeg_claiming(HUGE, HUGE), TOO_LARGE),
    "jpeg no data": (lambda: jpeg_claiming(LARGE, LARGE), DAMAGED),
    "jpeg progressive no data": (lambda: jpeg_claiming(LARGE, LARGE, progressive=True), DAMAGED),
    "jpeg scans": (lambda: jpeg_of_many_scans(400, 200), EITHER),
    "jpeg comments": (lambda: within_jpeg(*[segment(0xFE, b"a")] * 50_000), EITHER),
    "jpeg long comments": (lambda: within_jpeg(*[segment(0xFE, bytes(65_000))] * 100), EITHER),
    "jpeg profile": (lambda: within_jpeg(*profile_parts(255)), EITHER),
    "jpeg exif loop": (lambda: within_jpeg(exif(directory((34665, 4, 1, 8), (34853, 4, 1, 8), after=8))), READ),
    "jpeg exif count": (lambda: within_jpeg(exif(directory((274, 3, 2**32 - 1, 26), (271, 2, 2**31, 8)))), READ),
    "jpeg exifs": (lambda: within_jpeg(*[exif(directory((274, 3, 1, 6)) + bytes(60_000))] * 60), EITHER),
    "jpeg two pictures": (lambda: within_jpeg(segment(0xE2, b"MPF\0II*\0" + mpf())), READ),
    "webp size": (lambda: webp(webp_canvas(2**24, 2**24), webp_pixels()), TOO_LARGE),
    "webp no data": (lambda: webp_claiming(LARGE, LARGE), DAMAGED),
    "webp canvas": (lambda: webp(webp_canvas(LARGE, LARGE), webp_pixels()), DAMAGED),
    "webp profile": (lambda: webp(webp_canvas(24, 16, 32), (b"ICCP", bytes(30_000_000)), webp_pixels()), EITHER),
    "webp chunks": (lambda: webp(webp_canvas(24, 16), *[(b"abcd", b"")] * 50_000, webp_pixels()), EITHER),
    "webp frames": (lambda: webp_film(10_000), ANIMATED),
    "bmp size": (lambda: bmp(HUGE, HUGE, 24, 0, b""), TOO_LARGE),
    "bmp no data": (lambda: bmp(LARGE, LARGE, 24, 0, b""), DAMAGED),
    "bmp runs": (lambda: bmp(LARGE, LARGE, 8, 1, b"\0\2\xff\xff" * 20, 256), DAMAGED),
    "bmp upside down": (lambda: bmp(4, -(2**31), 24, 0, b""), TOO_LARGE),
    "bmp palette": (lambda: bmp(4, 4, 8, 0, b"", 2**20), DAMAGED),
    "tiff size": (lambda: tiff(np.zeros((1, 1, 3), np.uint8), t256=HUGE, t257=HUGE), TOO_LARGE),
    "tiff no data": (lambda: tiff(np.zeros((1, 1, 3), np.uint8), t256=LARGE, t257=LARGE, t278=LARGE), DAMAGED),
    "tiff one strip": (lambda: tiff(np.zeros((1, 1, 3), np.uint8), t256=LARGE, t257=LARGE, t278=1), DAMAGED),
    "tiff loop": (
        lambda: grey_tiff(1, 1, (259, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 1), after=8),
        f"{EITHER} or animated",
    ),
    "tiff empty loop": (lambda: tiff_of(after=8), DAMAGED),
    "tiff count": (lambda: grey_tiff(4, 4, (259, 3, 1, 1), (273, 4, 2**32 - 1, 8), (279, 4, 2**32 - 1, 8)), DAMAGED),
    "tiff tags": (lambda: tiff_of(*[(number, 4, 1, 0) for number in range(50_000)]), DAMAGED),
    "tiff strips": (lambda: tiff_of_strips(60_000), EITHER),
    "tiff a million strips": (lambda: tiff_of_strips(1_000_000), TOO_LARGE),
    "tiff a million strips for four rows": (lambda: tiff_of_strips(1_000_000, rows=4), DAMAGED),
    "tiff tiles of a pixel": (lambda: tiff_of_tiles(1000, tile=1), DAMAGED),
    "tiff packed strips": (lambda: tiff_of_strips(60_000, 5), EITHER),
    "tiff tiles": (lambda: tiff_of_tiles(LARGE), DAMAGED),
    "tiff large tiles": (lambda: tiff_of_tiles(100, tile=2**15), DAMAGED),
    "tiff profile": (lambda: encoded(scene("CMYK"), "TIFF", icc_profile=profile_of_tags(2**32 - 1)), READ),
    "gif size": (lambda: gif(HUGE, HUGE, gif_frame(HUGE, HUGE)), TOO_LARGE),
    "gif no data": (lambda: gif(LARGE, LARGE, gif_frame(LARGE, LARGE)), DAMAGED),
    "gif beyond": (lambda: gif(4, 4, gif_frame(4, 4, left=HUGE)), EITHER),
    "gif frames": (lambda: gif(4, 4, *[gif_frame(4, 4)] * 10_000), ANIMATED),
    "gif comment": (lambda: gif(4, 4, gif_comment(2_000_000), gif_frame(4, 4)), EITHER),
    "gif comments": (lambda: gif(4, 4, *[gif_comment(255)] * 50_000, gif_frame(4, 4)), EITHER),
    "ink profile": (lambda: profiled(profile_of_tags(2**32 - 1)), READ),
    "avif size": (lambda: avif_claiming(HUGE, HUGE), f"{TOO_LARGE} or {DAMAGED}"),
    "avif no data": (lambda: avif_claiming(LARGE, LARGE), DAMAGED),
    "avif nested": (lambda: avif_nested(100_000), DAMAGED),
    "avif items": (lambda: avif_of_items(5_000), DAMAGED),
    "avif frames": (avif_film, ANIMATED),
}
"""By the format's name and what is blown up."""


def profile_parts(count: int) -> list[bytes]:
    """A colour profile in parts, as many as a JPEG may have."""
    parts = [SRGB.ljust(65_000, b"\0"), *[bytes(65_000)] * (count - 1)]
    return [segment(0xE2, b"ICC_PROFILE\0" + bytes([at + 1, count]) + part) for at, part in enumerate(parts)]


def mpf() -> bytes:
    """The index of a file of several pictures, which claims four billion of them."""
    return struct.pack("<I", 8) + directory(
        (45056, 7, 4, 0x30303130), (45057, 4, 1, 2**32 - 1), (45058, 7, 2**32 - 1, 8)
    )


SLOW: dict[str, Bomb] = {
    "jpeg of a thousand exifs": (lambda: within_jpeg(*[exif(directory((274, 3, 1, 6)) + bytes(60_000))] * 900), EITHER),
    "jpeg scans of a large picture": (lambda: jpeg_of_many_scans(400, LARGE), EITHER),
    "gif of a long comment": (lambda: gif(4, 4, gif_comment(40_000_000), gif_frame(4, 4)), EITHER),
    "png of a million chunks": (lambda: within_png(*[chunk(b"abCd", b"")] * 1_000_000), EITHER),
    "avif of many items": (lambda: avif_of_items(65_535), DAMAGED),
}
"""Those that may take all the time that a decoder has."""

BOMBS = {name: bomb for name, bomb in BOMBS.items() if name.split()[0] in FORMATS or name.startswith("ink")}
SLOW = {name: bomb for name, bomb in SLOW.items() if name.split()[0] in FORMATS}
