"""HEIC, which pillow-heif reads where it is installed (`pip install denoir[heic]`).

Importing this module imports that library, so `header` does it when the first such file comes. Its wheels hold libheif
and libde265 (LGPL), which decode, and x265 (GPL), which encodes and is never asked to.
"""

from typing import Any

import numpy as np
from PIL.ImageFile import ImageFile
from pillow_heif import HeifFile, options, set_orientation

from models.images import raster
from models.images.errors import DamagedPicture
from models.images.picture import Pixels

# The picture itself and nothing beside it; in one thread, since processes run side by side as it is.
options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
options.DECODE_THREADS = 1


class HeicFile(ImageFile):
    """The main picture of a file, its header parsed. libheif turns it upright, so its EXIF no longer says how."""

    format = "HEIC"
    is_animated = False

    def _open(self) -> None:
        assert self.fp is not None
        file = HeifFile(self.fp, convert_hdr_to_8bit=False)
        self.is_animated = len(file) > 1
        self._coded: Any = file[file.primary_index]
        self._size, self._mode, self.tile = self._coded.size, "RGB", []
        self.info = self._coded.info
        set_orientation(self.info)

    def samples(self) -> Pixels:
        """`h w c`, alpha the last; uint8, or uint16 where more than 8 bits are coded: 10 and 12 are widened to 16.

        Raises DamagedPicture, and what pillow-heif raises.
        """
        self._coded.load()
        if self._coded.size != self.size:
            raise DamagedPicture
        rows, bits = np.asarray(self._coded), self.info["bit_depth"]
        samples = np.array(rows[:, : self.width].reshape(self.height, self.width, -1))
        if samples.dtype == np.uint16:
            samples |= samples >> bits  # what is coded fills the upper bits, and white is to be 65,535
        if "a" in self._coded.mode:
            raster.divide_by_alpha(samples)
        return samples
