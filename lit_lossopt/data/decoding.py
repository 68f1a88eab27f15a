"""One image file as ``[size, size, 3]`` uint8.

The rules hold for every kind of file.

Each file becomes upright 8-bit red, green, blue on white:

- EXIF orientation is applied; of several frames the first is taken;
- palettes, 1-bit, grey, CMYK and the like become RGB as Pillow converts them;
- what is transparent shows white, as a page would behind it: the colour stored there is arbitrary, mostly black;
- 16-bit grey keeps its high byte, so that 65535 is white, as Pillow reads 16-bit colour; plain conversion would
  saturate everything above 255;
- 32-bit integers and floats are refused: they do not say which value is white;
- another size is brought to ``size`` by antialiased bilinear resizing of the central square ("crop": the shorter side
  becomes ``size``, what is longer is cut off equally on both sides) or of the whole ("squash": proportions change).

Whoever changes what a file is decoded to, raises ``RULES_VERSION``: decoded images are kept under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lit_lossopt.core.errors import one_line
from lit_lossopt.core.quiet import without_warnings

RULES_VERSION = 1
ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".pbm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})
# The content decides, not the ending. Others stay closed: some of Pillow's readers start other programs (EPS).
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")

Pixels = NDArray[np.uint8]
Resize = Literal["crop", "squash"]

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class DecodingRules:
    """What can be chosen about decoding.

    Args:
        size: height and width of the result in pixels.
        resize: how another size is brought to ``size``.
        max_pixels: files whose header announces more are refused before a pixel is decoded.
    """

    size: int
    resize: Resize = "crop"
    max_pixels: int = 50_000_000


class UnusableImage(Exception):  # noqa: N818  # it names the file's state, as UserError's listing does
    """A file that cannot be used as an image.

    It is no image, is damaged, is too large, or is of a kind that is not decoded. The message is the reason.
    """


def decode_image(file: Path, rules: DecodingRules) -> Pixels:
    """Return an image file as ``[size, size, 3]`` uint8.

    Raises:
        UnusableImage: it cannot be decoded by these rules.
    """
    try:
        with _pillow_without_warnings(), Image.open(file, formats=FORMATS) as image:
            return pixels_of(image, rules)
    except (UnusableImage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        kind = f"not an image of a known format: {', '.join(FORMATS)}" if file.stat().st_size else "an empty file"
        raise UnusableImage(kind) from error
    except Exception as error:  # a damaged file makes Pillow's readers raise nearly anything
        raise UnusableImage(one_line(f"{error}" or type(error).__name__, 80)) from error


def pixels_of(image: Image.Image, rules: DecodingRules) -> Pixels:
    """Return an image of Pillow's as ``[size, size, 3]`` uint8.

    Raises:
        UnusableImage: it is too large, or of a kind that is not decoded; a damaged file raises nearly anything.
    """
    _check_pixels(image, rules.max_pixels)
    image.load()
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    rgb = _on_white(image)
    return np.asarray(_to_square(rgb if turn is None else rgb.transpose(turn), rules))


@contextmanager
def _pillow_without_warnings() -> Iterator[None]:
    """Keep Pillow's limit and remarks away.

    Its own cap on pixels would come before ours. Its remarks are about odd metadata.
    """
    own_cap = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with without_warnings():
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = own_cap


def _check_pixels(image: Image.Image, most: int) -> None:
    width, height = image.size
    if width * height > most:
        raise UnusableImage(f"{width}×{height} pixels, more than max_pixels={most}")


def _on_white(image: Image.Image) -> Image.Image:
    """Return the image as RGB."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _grey_of_16_bits(image)
    if image.mode in ("I", "F"):
        raise UnusableImage("32-bit pixels, which do not say which value is white; save it with 8 or 16 bits")
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _grey_of_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    grey = (values >> 8).astype(np.uint8)
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey).convert("RGB")


def _to_square(image: Image.Image, rules: DecodingRules) -> Image.Image:
    width, height = image.size
    if width == height == rules.size:
        return image
    box: tuple[float, float, float, float] = (0, 0, width, height)
    if rules.resize == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return image.resize((rules.size, rules.size), Image.Resampling.BILINEAR, box)
