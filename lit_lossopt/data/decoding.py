"""From an image file to pixels.

The same rules hold for every kind of file. Each becomes ``[size, size, 3]`` uint8, upright red, green and blue on
white:

- EXIF orientation is applied. The first of several frames is taken.
- Palettes, 1-bit, grey, CMYK and the like become RGB as Pillow converts them.
- What is transparent becomes white, as on a white page. The colour stored there is arbitrary, mostly black.
- 16-bit grey keeps its high byte, so that 65535 is white, as Pillow reads 16-bit colour. Plain conversion would
  saturate everything above 255.
- 32-bit integers and floats are refused, because they do not say which value is white.
- Other sizes are brought to ``size`` by antialiased bilinear resizing. "crop" resizes the central square: the shorter
  side becomes ``size``, and the longer one is cut off equally on both sides. "squash" resizes the whole, and changes
  proportions.

Whoever changes what a file is decoded to must raise ``RULES_VERSION``, because decoded images are kept under it.
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
# The content decides, not the ending. Other formats stay closed, because some of Pillow's readers start other programs,
# as that of EPS does.
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
        resize: how other sizes are brought to ``size``.
        max_pixels: files whose header announces more are refused before a pixel is decoded.
    """

    size: int
    resize: Resize = "crop"
    max_pixels: int = 50_000_000


class UnusableImage(Exception):  # noqa: N818  # it names the file's state, as UserError's listing does
    """A file that cannot be decoded.

    It is no image, is damaged, too large, or of a kind that is not decoded. The message is the reason.
    """


def decode_image(file: Path, rules: DecodingRules) -> Pixels:
    """Return the pixels of an image file as ``[size, size, 3]`` uint8.

    Raises:
        UnusableImage: the file cannot be decoded by these rules.
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
    """Return the pixels of an image of Pillow's as ``[size, size, 3]`` uint8.

    >>> pixels_of(Image.new("L", (4, 2), 200), DecodingRules(size=2)).shape
    (2, 2, 3)

    Raises:
        UnusableImage: the image is too large, or of a kind that is not decoded.
        Exception: nearly any, where the image comes from a damaged file.
    """
    width, height = image.size
    if width * height > rules.max_pixels:
        raise UnusableImage(f"{width}×{height} pixels, more than max_pixels={rules.max_pixels}")
    image.load()
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    rgb = _on_white(image)
    return np.asarray(_to_square(rgb if turn is None else rgb.transpose(turn), rules))


@contextmanager
def _pillow_without_warnings() -> Iterator[None]:
    """Switch off Pillow's own limit of pixels, and its remarks about odd metadata.

    The limit here is ``max_pixels``.
    """
    own_cap = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with without_warnings():
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = own_cap


def _on_white(image: Image.Image) -> Image.Image:
    """Return the image as RGB, with white where it is transparent."""
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
