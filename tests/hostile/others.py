"""Files of formats that are not accepted, whatever they are called; the first bytes of most are all that there is."""

import gzip
import io
import zipfile

from files import encoded, scene

from tests.hostile.bombs import FTYP


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("picture.png", encoded(scene(), "PNG"))
    return stream.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) (r) file\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'

OTHERS = {
    "EPS": EPS,
    "EPS in a binary shell": b"\xc5\xd0\xd3\xc6\x20\0\0\0" + len(EPS).to_bytes(4, "little") + bytes(20) + EPS,
    "PSD": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x09\0\0\0\x09\0\x08\0\3",
    "FITS": b"SIMPLE  =                    T".ljust(80)
    + b"BITPIX  =                    8".ljust(80)
    + b"END".ljust(2720),
    "PDF": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript>>>>endobj\n",
    "SVG": SVG,
    "SVG in XML": b"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + SVG,
    "ICO": encoded(scene(), "ICO"),
    "JPEG 2000": encoded(scene(), "JPEG2000"),
    "PPM": encoded(scene(), "PPM"),
    "TGA": encoded(scene(), "TGA"),
    "PCX": encoded(scene(), "PCX"),
    "DDS": encoded(scene(), "DDS"),
    "XBM": encoded(scene("1"), "XBM"),
    "SGI": encoded(scene(), "SGI"),
    "a film": FTYP.replace(b"avif", b"isom"),
    "WebP's shell with sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(20),
    "BMP of an unknown make": b"BM" + bytes(12) + b"\xff\xff\xff\x7f" + bytes(100),
    "zip": zipped(),
    "gzip": gzip.compress(encoded(scene(), "PNG")),
    "program": b"\x7fELF\x02\x01\x01" + bytes(100),
    "page": b"<!doctype html><script>alert(1)</script>",
    "text": "ein Bild ist das nicht".encode("utf-16"),
    "nothing but zeros": bytes(10_000),
    "a PNG after a byte": b" " + encoded(scene(), "PNG"),
}
"""By name. Had they reached a parser, some of them would have run programs or read other files."""
