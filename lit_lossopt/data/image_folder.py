"""Any folder of images: ``train/<class>/*`` and ``test/<class>/*``, decoded once and kept as one array."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.image_data import ImageDataModule, Split
from lit_lossopt.errors import Notice, UserError, one_line

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp"}
Pixels = NDArray[np.uint8]


class ImageFolderDataModule(ImageDataModule):
    """Images of a folder with one subfolder a class; the classes are the names below ``train/``, sorted.

    Args:
        folder: holds ``train/<class>/*`` and ``test/<class>/*``.
        size: images of another size are resized to this many pixels on both sides (bilinear, antialiased).
        predict_folder: images to predict, at any depth; default: the test images.
        cache: where decoded images are kept, keyed by the files' content; default: the user's cache folder.
        **options: those of ``ImageDataModule``.

    Raises:
        UserError: the folder, a class or an image is missing or cannot be read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] = "data/images",
        size: int = 32,
        predict_folder: str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        self.folder = Path(folder)
        self.size = size
        self.predict_folder = Path(predict_folder) if predict_folder else None
        self.cache = Path(cache) if cache else default_cache()
        self._names = _class_folders(self.folder / "train")
        super().__init__(**options)

    @property
    def all_class_names(self) -> list[str]:
        """Names of the folders below ``train/``, sorted."""
        return self._names

    @property
    def in_channels(self) -> int:
        """Three: every image is read as red, green, blue."""
        return 3

    @property
    def image_size(self) -> int:
        """The size to which images are brought."""
        return self.size

    def read(self, split: Split) -> LabelledImages:
        """Return the images of a split, sorted by path."""
        root = self.predict_folder if split == "predict" and self.predict_folder else None
        base = root or self.folder / ("train" if split == "train" else "test")
        files = image_files(base, self._names if root is None else None)
        if not files:
            raise UserError(f"data.folder: no images in {base}")
        pixels = cached_pixels(files, self.size, self.cache)
        labels = [self._names.index(file.relative_to(base).parts[0]) if root is None else -1 for file in files]
        return LabelledImages(as_images(pixels), torch.tensor(labels), [str(file) for file in files])


def image_files(base: Path, class_names: Sequence[str] | None) -> list[Path]:
    """Return the image files below ``base`` (of the named class folders only, if given), sorted."""
    roots = [base / name for name in class_names] if class_names is not None else [base]
    found = (Path(folder, name) for root in roots for folder, _, files in os.walk(root) for name in files)
    return sorted(path for path in found if path.suffix.lower() in ENDINGS)


def cached_pixels(files: Sequence[Path], size: int, cache: Path) -> Pixels:
    """Return the decoded images ``[N, size, size, 3]`` uint8, from the cache if the same files were decoded before."""
    kept = cache / f"{_content_key(files, size)}.npy"
    if kept.is_file():
        return np.load(kept)  # type: ignore[no-any-return]  # numpy types load() as Any
    pixels = _decode_all(files, size)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache, suffix=".part", delete=False) as part:
            np.save(part, pixels)
        Path(part.name).replace(kept)
    except OSError as error:
        warnings.warn(f"decoded images cannot be kept in {cache} ({error.strerror})", Notice, stacklevel=2)
    return pixels


def default_cache() -> Path:
    """Return the folder for decoded images: below ``XDG_CACHE_HOME``, by default ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lit_lossopt" / "images"


def _class_folders(train: Path) -> list[str]:
    if not train.is_dir():
        raise UserError(
            f"data.folder: there is no folder {train}; images are expected as train/<class>/* and test/<class>/*; "
            "name their folder with --data.folder=…"
        )
    found = sorted(entry.name for entry in train.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(found) < 2:
        raise UserError(f"data.folder: {train} holds {len(found)} class folders; at least two are needed")
    return found


def _content_key(files: Sequence[Path], size: int) -> str:
    digest = hashlib.sha256(f"rgb {size}".encode())
    for file in files:
        content = hashlib.sha256(file.read_bytes()).digest()
        digest.update(content)
    return digest.hexdigest()


def _decode_all(files: Sequence[Path], size: int) -> Pixels:
    pixels = np.empty((len(files), size, size, 3), dtype=np.uint8)
    unreadable: list[str] = []
    for row, file in zip(pixels, files, strict=True):
        try:
            row[:] = _decode(file, size)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            unreadable.append(f"{file} ({one_line(str(error), 60)})")
    if unreadable:
        listed = "; ".join(unreadable[:10]) + (f"; and {len(unreadable) - 10} more" if len(unreadable) > 10 else "")
        raise UserError(f"data.folder: {len(unreadable)} of {len(files)} images cannot be read: {listed}")
    return pixels


def _decode(file: Path, size: int) -> Pixels:
    with Image.open(file) as image:
        rgb = image.convert("RGB")
    if rgb.size != (size, size):
        rgb = rgb.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(rgb)
