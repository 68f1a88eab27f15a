"""Any folder of images with one subfolder for each class.

Training and test images lie apart, or are split by the seed.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lit_lossopt.core.errors import Notice, UserError, printable
from lit_lossopt.core.paths import given_path
from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.decoding import DecodingRules, Resize
from lit_lossopt.data.folder_layout import check_class_folders, class_folders, find_layout, image_files
from lit_lossopt.data.image_cache import default_cache, read_images
from lit_lossopt.data.image_data import ImageDataModule, Split
from lit_lossopt.data.splits import check_test_fraction, draw_test_images

LISTED = 10


class ImageFolderDataModule(ImageDataModule):
    """Images of a folder with one subfolder for each class.

    The classes are the subfolders' names, sorted. Images deeper below a class's folder count as that class. Hidden
    files and folders are left out. How a file becomes pixels is described in ``lit_lossopt.data.decoding``. All files
    are looked at before training, the test images too.

    Args:
        folder: holds ``train/<class>/*`` and ``test/<class>/*``, perhaps ``val/<class>/*``, or ``<class>/*`` alone. The
            splits are known under their usual names too (``Training``, ``test_set``, ``valid``).
        test_fraction: share of the images that are test images, if there is no ``train/``. They are stratified by class
            and chosen by the seed.
        size: height and width in pixels to which images are brought.
        resize: "crop" keeps proportions and cuts off what is longer, equally on both sides. "squash" keeps everything
            and changes proportions.
        on_bad_image: what to do with files that cannot be decoded. "error" lists them before training. "skip" leaves
            them out, says so, and records their number in the run as ``data.skipped_images``.
        max_pixels: images with more pixels count as files that cannot be decoded. The header decides, before a pixel is
            decoded.
        predict_folder: images to predict, at any depth. By default they are the test images.
        cache: where decoded images are kept, keyed by the files' content. By default it is the user's cache folder.
        **options: those of ``ImageDataModule``.

    Raises:
        UserError: the folder, a class or an image is missing or cannot be read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] = "data/images",
        test_fraction: float = 0.2,
        size: int = 32,
        resize: Resize = "crop",
        on_bad_image: Literal["error", "skip"] = "error",
        max_pixels: int = 50_000_000,
        predict_folder: str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        if size < 1 or max_pixels < 1:
            raise UserError(f"data.size={size}, data.max_pixels={max_pixels}: must be at least 1")
        check_test_fraction(test_fraction)
        self.folder = given_path(folder)
        self.test_fraction = test_fraction
        self.size = size
        self.rules = DecodingRules(size, resize, max_pixels)
        self.on_bad_image = on_bad_image
        self.predict_folder = given_path(predict_folder) if predict_folder else None
        self.cache = given_path(cache) if cache else default_cache()
        self._layout = find_layout(self.folder)
        self._base = self._layout.train
        self._folders = class_folders(self._base)
        self._names = [printable(name) for name in self._folders]
        self._bad: dict[Path, dict[Path, str]] = {}
        self._pool: str | None = None
        self._at_hand: dict[Path, LabelledImages] = {}
        self._test_labels: Tensor | None = None
        super().__init__(**options)

    @property
    def all_class_names(self) -> list[str]:
        """Names of the class folders, sorted.

        Bytes that cannot be printed are shown as escapes.
        """
        return self._names

    @property
    def in_channels(self) -> int:
        """Three channels, because every image is read as red, green and blue."""
        return 3

    @property
    def image_size(self) -> int:
        """The size in pixels to which images are brought."""
        return self.size

    @property
    def test_is_drawn(self) -> bool:
        """Whether the seed draws the test images, because there is no ``train/``."""
        return self._base == self.folder

    @property
    def val_is_drawn(self) -> bool:
        """Whether the seed draws the validation images, because there is no ``val/``."""
        return self._layout.val is None

    @property
    def pool(self) -> str | None:
        """Digest of the names of the images that the seed splits.

        None means that they have not been read yet.
        """
        return self._pool

    def facts(self) -> dict[str, int | str]:
        """Return the number of files that cannot be decoded and are left out."""
        return {"skipped_images": sum(map(len, self._bad.values()))}

    def setup(self, stage: str) -> None:
        """Look at all files before training.

        Then what the stage needs is read once.
        """
        if stage == "fit" and self._base not in self._bad:
            splits = [split for split in (self._base, self._layout.val, self._layout.test) if split]
            images = dict(zip(splits, self._look_at(*splits), strict=True))
            if self._layout.test:
                self._test_labels = images.pop(self._layout.test).labels
            self._at_hand = images
        super().setup(stage)

    def test_labels(self) -> Tensor | None:
        """Return the labels of the test images.

        They are None before the images were looked at.
        """
        missing = not self.test_is_drawn and self._layout.test is None
        return torch.empty(0, dtype=torch.int64) if missing else self._test_labels

    def read(self, split: Split) -> LabelledImages:
        """Return the images of a split, sorted by path."""
        if split == "predict" and self.predict_folder:
            return self._look_at(self.predict_folder, labelled=False)[0]
        if split == "val" and self._layout.val:
            return self._read_base(self._layout.val)
        if split != "train" and not self.test_is_drawn:
            # Without a test folder, the message names the one that would be read.
            return self._read_base(self._layout.test or self.folder / "test")
        everything = self._read_base(self._base)
        if not self.test_is_drawn:
            return everything
        wanted = {label: self._names[label] for label in self._labels_kept}
        train, test = draw_test_images(everything, self.test_fraction, self.seed, wanted)
        self._test_labels = test.labels
        return train if split == "train" else test

    def _read_base(self, base: Path) -> LabelledImages:
        at_hand = self._at_hand.pop(base, None)
        return self._look_at(base)[0] if at_hand is None else at_hand

    def _split_settings(self) -> dict[str, Any]:
        drawn = {"data.test_fraction": self.test_fraction} if self.test_is_drawn else {}
        return {**super()._split_settings(), **drawn}

    def _look_at(self, *bases: Path, labelled: bool = True) -> list[LabelledImages]:
        """Return the usable images below each folder of ``bases``.

        The bad files of all folders are reported at once.

        Raises:
            UserError: there are bad files and they must not be skipped, or too few files are left.
        """
        new = [base for base in bases if base not in self._bad]
        usable = [self._usable(base, labelled=labelled) for base in bases]
        bad = {file: reason for base in new for file, reason in self._bad[base].items()}
        total = sum(len(images) + len(self._bad[base]) for base, images in zip(bases, usable, strict=True))
        if bad and self.on_bad_image == "error":
            raise UserError(
                f"data.folder: {len(bad)} of {total} images cannot be read: {_listed(bad)}; mend or remove them, or "
                "leave them out with --data.on_bad_image=skip"
            )
        if bad:
            note = f"data.on_bad_image=skip: {len(bad)} of {total} images are left out: {_listed(bad)}"
            warnings.warn(note, Notice, stacklevel=2)
        for base, images in zip(bases, usable, strict=True):
            self._check_enough(base, images, labelled=labelled)
        return usable

    def _usable(self, base: Path, *, labelled: bool) -> LabelledImages:
        if labelled and base != self._base and len(self._labels_kept) == len(self._names) and base.is_dir():
            check_class_folders(base, self._folders)
        found = image_files(base, self._folders if labelled else None)
        if found.left_out:
            kinds = ", ".join(f"{count} {kind}" for kind, count in found.left_out.most_common(LISTED))
            warnings.warn(f"data.folder: files below {base} that are left out: {kinds}", Notice, stacklevel=2)
        files = found.images
        decoded = read_images(files, self.rules, self.cache)
        refused = {files[position]: reason for position, reason in decoded.refused.items()}
        self._bad[base] = dict(sorted((refused | found.unreadable).items()))
        usable = [file for position, file in enumerate(files) if position not in decoded.refused]
        parts = [file.relative_to(base).parts for file in usable]
        label_of = {name: label for label, name in enumerate(self._folders)} if labelled else {}
        labels = torch.tensor([label_of.get(names[0], -1) for names in parts], dtype=torch.int64)
        if labelled and base == self._base:
            self._pool = _digest("/".join(names) for names in parts)
        return LabelledImages(as_images(decoded.pixels), labels, [str(file) for file in usable])

    def _check_enough(self, base: Path, images: LabelledImages, *, labelled: bool) -> None:
        left = " that can be read" if self._bad[base] else ""
        if not len(images):
            raise UserError(f"data.{'folder' if labelled else 'predict_folder'}: no images in {base}{left}")
        present = set(images.labels.tolist())
        missing = [label for label in self._labels_kept if label not in present]
        if missing and labelled:
            name, place = self._names[missing[0]], base / self._folders[missing[0]]
            raise UserError(
                f"data.folder: no images of class {name!r} in {place}{left}; add some, or name the "
                "other classes with --data.classes=[…]"
            )


def _listed(bad: Mapping[Path, str]) -> str:
    """Return the first bad files with their reasons, and the number of others."""
    first = "; ".join(f"{file} ({reason})" for file, reason in islice(bad.items(), LISTED))
    return first + (f"; and {len(bad) - LISTED} more" if len(bad) > LISTED else "")


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()
