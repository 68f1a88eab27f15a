"""Every kind of file becomes the pixels that docs/your_own_data.md states."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from lit_lossopt.data.decoding import DecodingRules, Pixels, UnusableImage, decode_image
from tests.support.odd_images import BAD, ODD, png, saved

RULES = DecodingRules(32)


def decoded(content: bytes, path: Path, rules: DecodingRules = RULES) -> Pixels:
    path.write_bytes(content)
    return decode_image(path, rules)


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ODD)
def test_each_odd_kind_has_its_stated_colour(name: str, tmp_path: Path) -> None:
    content, colour = ODD[name]
    pixels = decoded(content, tmp_path / name)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert {tuple(pixel) for pixel in pixels.reshape(-1, 3).tolist()} == {colour}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_file_says_why(name: str, tmp_path: Path) -> None:
    content, reason = BAD[name]
    with pytest.raises(UnusableImage, match=reason) as caught:
        decoded(content, tmp_path / name)
    assert len(str(caught.value)) <= 80


def test_an_image_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    pixels = noise(32, 32)
    for resize in ("crop", "squash"):
        rules = DecodingRules(32, resize)
        np.testing.assert_array_equal(decoded(saved(Image.fromarray(pixels), "PNG"), tmp_path / "x", rules), pixels)


def test_16_bits_keep_their_high_byte(tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for kind in ("PNG", "TIFF"):
        pixels = decoded(saved(Image.fromarray(values), kind), tmp_path / "x", DecodingRules(256))
        np.testing.assert_array_equal(pixels, np.repeat((values // 256)[..., np.newaxis], 3, axis=2))


# What is stored, as the EXIF standard defines it: where the first row and the first column lie in the upright image.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
    9: lambda a: a,
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientations_are_applied_once(
    orientation: int, kind: Literal["PNG", "TIFF", "WEBP"], tmp_path: Path
) -> None:
    stored, exif = noise(32, 32), Image.Exif()
    exif[0x0112] = orientation
    content = saved(Image.fromarray(stored), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(decoded(content, tmp_path / "x"), UPRIGHT[orientation](stored))


@pytest.mark.parametrize(("height", "width"), [(64, 192), (192, 64)])
def test_crop_is_the_shorter_side_resized_and_then_the_centre(height: int, width: int, tmp_path: Path) -> None:
    image = Image.fromarray(noise(height, width))
    small = np.asarray(image.resize((width // 2, height // 2), Image.Resampling.BILINEAR))
    top, left = (small.shape[0] - 32) // 2, (small.shape[1] - 32) // 2
    np.testing.assert_array_equal(decoded(saved(image, "PNG"), tmp_path / "x"), small[top : top + 32, left : left + 32])


def test_squash_shows_the_whole_and_crop_its_centre(tmp_path: Path) -> None:
    thirds = np.repeat(np.array([10, 20, 30], dtype=np.uint8), 32)
    content = saved(Image.fromarray(np.tile(thirds, (32, 1))), "PNG")
    assert set(decoded(content, tmp_path / "x").flatten().tolist()) == {20}
    squashed = decoded(content, tmp_path / "x", DecodingRules(32, "squash"))
    assert (squashed[0, 0, 0], squashed[0, 16, 0], squashed[0, 31, 0]) == (10, 20, 30)


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    inside = decoded(saved(Image.fromarray(board), "PNG"), tmp_path / "x")[1:-1, 1:-1]
    assert abs(inside.astype(int) - 127).max() <= 2


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    whole = BAD["bomb.png"][0]
    cut = whole[: whole.index(b"IDAT") + 4]
    for content in (whole, cut):
        with pytest.raises(UnusableImage, match="10000×10000 pixels, more than max_pixels=50000000"):
            decoded(content, tmp_path / "bomb.png")


def test_the_cap_is_ours_and_not_pillows(tmp_path: Path) -> None:
    cap = Image.MAX_IMAGE_PIXELS
    assert cap is not None
    side = int((2 * cap) ** 0.5) + 1
    beyond = png(side, side, 1, 0, b"")
    with pytest.raises(UnusableImage, match=r"truncated|broken"):
        decoded(beyond, tmp_path / "x", DecodingRules(8, max_pixels=side**2))
    with pytest.raises(UnusableImage, match="more than max_pixels"):
        decoded(beyond, tmp_path / "x", DecodingRules(8, max_pixels=side**2 - 1))
    assert cap == Image.MAX_IMAGE_PIXELS
