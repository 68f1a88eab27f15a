"""Images of every odd kind, one file each, with the colour that each should be read as; and files that are bad."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)
Colour = tuple[int, int, int]
SIZE = (32, 32)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def filled(mode: str, colour: Any, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.new(mode, size, colour)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int, colour_type: int, row: bytes, *, transparent: bytes = b"") -> bytes:
    """Return a PNG of equal rows, written by hand: Pillow writes no 16-bit colour."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    rows = zlib.compress((b"\0" + row) * height)
    extra = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def grey16(kind: str, order: str) -> bytes:
    return saved(Image.fromarray(np.full(SIZE, 0x8001, dtype=f"{order}u2")), kind)


def palette(colour: Colour, **options: Any) -> bytes:
    image = Image.new("P", SIZE, 1)
    image.putpalette([0, 0, 0, *colour])
    return saved(image, "PNG", **options)


def turned(kind: str) -> bytes:
    """Return an image that lies on its side: black above when it is stored, red above when it is upright."""
    image = filled("RGB", RED, (64, 32))
    image.paste(BLACK, (32, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image.crop((0, 0, 32, 32)), kind, exif=exif)


def frames(kind: str) -> bytes:
    return saved(filled("RGB", RED), kind, save_all=True, append_images=[filled("RGB", BLACK)])


# 0x8001 is 32769: its high byte is 128, and plain conversion would saturate it to 255.
ODD: dict[str, tuple[bytes, Colour]] = {
    "grey.png": (saved(filled("L", 90), "PNG"), (90, 90, 90)),
    "one_bit.png": (saved(filled("1", 1), "PNG"), WHITE),
    "palette.png": (palette((10, 20, 30)), (10, 20, 30)),
    "palette_transparent.png": (palette((10, 20, 30), transparency=1), WHITE),
    "palette_half_transparent.png": (palette(BLACK, transparency=b"\xff\x80"), (127, 127, 127)),
    "rgba_transparent.png": (saved(filled("RGBA", (200, 0, 0, 0)), "PNG"), WHITE),
    "rgba_half_transparent.png": (saved(filled("RGBA", (0, 0, 0, 128)), "PNG"), (127, 127, 127)),
    "rgba_opaque.webp": (saved(filled("RGBA", (200, 1, 2, 255)), "WEBP", lossless=True), (200, 1, 2)),
    "grey_alpha.png": (saved(filled("LA", (0, 128)), "PNG"), (127, 127, 127)),
    "transparent_grey.png": (saved(filled("L", 7), "PNG", transparency=7), WHITE),
    "transparent_colour.png": (saved(filled("RGB", RED), "PNG", transparency=RED), WHITE),
    "cmyk.jpg": (saved(filled("CMYK", (0, 255, 255, 0)), "JPEG", quality=100), RED),
    "grey16.png": (grey16("PNG", "<"), (128, 128, 128)),
    "grey16_transparent.png": (png(32, 32, 16, 0, b"\x80\x01" * 32, transparent=b"\x80\x01"), WHITE),
    "grey16_little.tif": (grey16("TIFF", "<"), (128, 128, 128)),
    "grey16_big.tif": (grey16("TIFF", ">"), (128, 128, 128)),
    "grey16.pgm": (b"P5 32 32 65535\n" + b"\x80\x01" * 1024, (128, 128, 128)),
    "grey10.pgm": (b"P5 32 32 1023\n" + b"\x03\xff" * 1024, WHITE),
    "rgb16.png": (png(32, 32, 16, 2, b"\x80\x01\x00\x00\xff\xff" * 32), (128, 0, 255)),
    "rgba16.png": (png(32, 32, 16, 6, b"\x80\x01\x00\x00\xff\xff\x00\x00" * 32), WHITE),
    "larger.png": (saved(filled("RGB", RED, (640, 480)), "PNG"), RED),
    "smaller.bmp": (saved(filled("RGB", RED, (3, 2)), "BMP"), RED),
    "one_pixel.png": (saved(filled("RGB", RED, (1, 1)), "PNG"), RED),
    "wide.png": (saved(filled("RGB", RED, (2000, 2)), "PNG"), RED),
    "frames.gif": (frames("GIF"), RED),
    "frames.tif": (frames("TIFF"), RED),
    "frames.webp": (saved(filled("RGB", RED), "WEBP", save_all=True, append_images=[filled("RGB", 0)], lossless=True),
                    RED),
    "turned.png": (turned("PNG"), RED),
    "png_named.jpg": (saved(filled("RGB", RED), "PNG"), RED),
    "UPPER.PNG": (saved(filled("RGB", RED), "PNG"), RED),
    "progressive.jpg": (saved(filled("L", 90), "JPEG", progressive=True, quality=100), (90, 90, 90)),
}  # fmt: skip

_NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def _damaged(content: bytes) -> bytes:
    place = content.index(b"IDAT") + 100
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


BAD: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "an empty file"),
    "text.png": (b"not an image", "not an image of a known format"),
    "page.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image of a known format"),
    "truncated.jpg": (saved(_NOISE, "JPEG")[:-200], "image file is truncated"),
    "truncated.png": (saved(_NOISE, "PNG")[:-200], "image file is truncated"),
    "damaged.png": (_damaged(saved(_NOISE, "PNG")), "broken data stream"),
    "float.tif": (saved(filled("F", 1.0), "TIFF"), "32-bit pixels, which do not say which value is white"),
    "integer.tif": (saved(filled("I", 70_000), "TIFF"), "32-bit pixels, which do not say which value is white"),
    "bomb.png": (png(10_000, 10_000, 1, 0, b"\xff" * 1250), "10000×10000 pixels, more than max_pixels=50000000"),
}
NO_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "folder.png": (Path.mkdir, "not a file"),
    "gone.png": (lambda path: path.symlink_to("nowhere"), "No such file or directory"),
}


def write_odd(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, _) in ODD.items():
        (folder / name).write_bytes(content)


def write_bad(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    for name, (make, _) in NO_FILES.items():
        make(folder / name)
