"""What a camera wrote beside the pixels: which way is up, and the rest for those who may keep it."""

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from models.images.header import guarded, opened
from models.images.picture import USUAL, Limits

_ORIENTATION = ExifTags.Base.Orientation.value

# What a TIFF notes in the same place of how its own pixels lie in the file, with its colour profile, XMP and the like.
_STRUCTURE = {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 317, 320, 322}
_STRUCTURE |= {323, 324, 325, 330, 332, 338, 339, 347, 512, 513, 514, 515, 519, 520, 521, 529, 530, 531, 532}
_STRUCTURE |= {700, 33723, 34377, 34675}


def orientation_of(image: ImageFile) -> int:
    """1 to 8 as EXIF counts, 1 (upright) where nothing readable is said. Call it when the pixels are loaded."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # notes that cannot be read are no reason to refuse the picture
        return 1
    return value if value in range(1, 9) else 1


def exif_of(data: bytes, limits: Limits = USUAL) -> bytes | None:
    """The EXIF block of a file, to be given to `write` for a picture that `read` has turned upright.

    Orientation and thumbnail are left out: the first no longer holds, the second shows the picture as it was. None
    where there is no EXIF or it cannot be read. It tells where and when a picture was taken: for one's own files only.
    Raises any `PictureError` that `inspect` raises.
    """
    with guarded():
        image = opened(data, limits)
        try:
            return _kept(image.getexif())
        except Exception:
            return None


def _kept(exif: Image.Exif) -> bytes | None:
    for tag in _STRUCTURE | {_ORIENTATION}:
        if tag in exif:
            del exif[tag]
    exif.bigtiff = False
    return exif.tobytes() if len(exif) else None
