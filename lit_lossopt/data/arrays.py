"""Images that are arrays already.

They are given from Python, or kept in a ``.npz`` file.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError, one_line, printable
from lit_lossopt.core.paths import given_path
from lit_lossopt.data.array_cache import DAMAGED
from lit_lossopt.data.array_labels import check_numbering, class_labels
from lit_lossopt.data.batches import LabelledImages
from lit_lossopt.data.image_data import ImageDataModule, Split
from lit_lossopt.data.splits import check_test_fraction, draw_test_images, drawn_places

REQUIRED = ("images", "labels")
OPTIONAL = ("test_images", "test_labels", "class_names")


class ArrayDataModule(ImageDataModule):
    """Tensors or numpy arrays as a dataset, from Python only.

    ``ArrayFileDataModule`` is the same for the command line.

    >>> images = torch.zeros(40, 1, 8, 8, dtype=torch.uint8)
    >>> data = ArrayDataModule(images, torch.arange(40) % 2, class_names=["cat", "dog"], batch_size=4)
    >>> data.setup("fit")
    >>> data.sizes()
    {'train': 28, 'val': 4, 'test': 8}

    Args:
        images: ``[N, C, H, W]`` uint8, height and width equal.
        labels: ``[N]`` or ``[N, 1]`` integers 0 … K − 1. Whole floats and booleans count as integers.
        test_images: test images of the same shape.
        test_labels: labels of the test images.
        class_names: names of the K classes. By default they are the labels, up to the largest.
        test_fraction: share of the images that are test images, if there are no ``test_images``. They are stratified by
            class and chosen by the seed.
        **options: those of ``ImageDataModule``.

    Raises:
        UserError: the arrays have wrong shapes, types or values.
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        test_images: Any = None,
        test_labels: Any = None,
        class_names: Sequence[str | bytes] | None = None,
        test_fraction: float = 0.2,
        **options: Any,
    ) -> None:
        check_test_fraction(test_fraction)
        if (test_images is None) != (test_labels is None):
            raise UserError("data.test_images, data.test_labels: give both or neither")
        self.test_fraction = test_fraction
        self._given = _labelled("", images, labels)
        self._test = None if test_images is None else _labelled("test_", test_images, test_labels)
        if class_names is not None and np.ndim(class_names) != 1:
            raise UserError(f"data.class_names={class_names}: a list of names is needed, one for each class")
        numbered = range(check_numbering("data.labels", self._given.labels)) if class_names is None else ()
        self._names = [
            printable(name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name))
            for name in (numbered if class_names is None else class_names)
        ]
        self._check_fit()
        super().__init__(**options)

    @property
    def all_class_names(self) -> list[str]:
        """The names given, or else the labels."""
        return self._names

    @property
    def in_channels(self) -> int:
        """Channels of the images given."""
        return int(self._given.images.shape[1])

    @property
    def image_size(self) -> int:
        """Height and width of the images given."""
        return int(self._given.images.shape[2])

    @functools.cached_property
    def pool(self) -> str | None:
        """Digest of the images that the seed splits."""
        digest = hashlib.sha256(self._given.labels.numpy().tobytes())
        for chunk in torch.split(self._given.images, 1024):
            digest.update(chunk.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def test_labels(self) -> Tensor:
        """Return the labels of the test images, whether given or drawn."""
        if self._test is not None:
            return self._test.labels
        labels = self._given.labels
        return labels[drawn_places(labels, self.test_fraction, self.seed, self._wanted())[1]]

    def read(self, split: Split) -> LabelledImages:
        """Return the images of a split in the order given.

        The images to predict are the test images.
        """
        if self._test is not None:
            return self._given if split == "train" else self._test
        train, test = draw_test_images(self._given, self.test_fraction, self.seed, self._wanted())
        return train if split == "train" else test

    def _wanted(self) -> dict[int, str]:
        return {label: self._names[label] for label in self._labels_kept}

    def _split_settings(self) -> dict[str, Any]:
        drawn = {"data.test_fraction": self.test_fraction} if self._test is None else {}
        return {**super()._split_settings(), **drawn}

    def _check_fit(self) -> None:
        """Raise UserError if labels, names and test images do not fit together."""
        for prefix, data in (("", self._given), ("test_", self._test)):
            if data is not None and not 0 <= int(data.labels.min()) <= int(data.labels.max()) < len(self._names):
                raise UserError(
                    f"data.{prefix}labels: {int(data.labels.min())} … {int(data.labels.max())}, but there are "
                    f"{len(self._names)} classes: 0 … {len(self._names) - 1}"
                )
        if len(self._names) < 2 or len(set(self._names)) < len(self._names):
            shown = one_line(str(self._names), 200)
            raise UserError(f"data.class_names={shown}: at least two different classes are needed")
        present = set(self._given.labels.tolist())
        missing = [name for label, name in enumerate(self._names) if label not in present]
        if missing:
            raise UserError(f"data.labels: no image of class {missing[0]!r}; number the classes without gaps")
        if self._test is not None and self._test.images.shape[1:] != self._given.images.shape[1:]:
            raise UserError(
                f"data.test_images: {list(self._test.images.shape[1:])} each, but the training images are "
                f"{list(self._given.images.shape[1:])}"
            )


class ArrayFileDataModule(ArrayDataModule):
    """The arrays of a ``.npz`` file, as ``numpy.savez`` writes it.

    Args:
        file: holds ``images [N, C, H, W]`` uint8 and ``labels [N]``. It may hold ``test_images``, ``test_labels`` and
            ``class_names``, which mean the same as for ``ArrayDataModule``.
        test_fraction: share of the images that are test images, if the file has no ``test_images``. They are stratified
            by class and chosen by the seed.
        **options: those of ``ImageDataModule``.

    Raises:
        UserError: the file is missing, damaged, or holds other arrays.
    """

    def __init__(self, file: str | os.PathLike[str], test_fraction: float = 0.2, **options: Any) -> None:
        self.file = given_path(file)
        arrays = _read_npz(self.file)
        super().__init__(
            images=arrays["images"],
            labels=arrays["labels"],
            test_images=arrays.get("test_images"),
            test_labels=arrays.get("test_labels"),
            class_names=arrays.get("class_names"),
            test_fraction=test_fraction,
            **options,
        )


def _read_npz(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened, np.load(opened) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or one_line(str(error), 80)
        raise UserError(f"data.file={file}: not a .npz file that can be read ({reason}); see numpy.savez") from error
    unknown = sorted(set(arrays) - {*REQUIRED, *OPTIONAL})
    if unknown or not set(REQUIRED) <= set(arrays):
        raise UserError(
            f"data.file={file}: holds {', '.join(arrays) or 'nothing'}; needed: {', '.join(REQUIRED)}; possible: "
            f"{', '.join(OPTIONAL)}"
        )
    return arrays


def _labelled(prefix: str, images: Any, labels: Any) -> LabelledImages:
    images = _as_tensor(images)
    _check_images(f"data.{prefix}images", images)
    labels = class_labels(f"data.{prefix}labels", labels, len(images))
    kind = f"{prefix or 'train_'}images".removesuffix("_images")
    # A copy, so that what the caller does with the arrays later changes no training.
    kept = images.clone(memory_format=torch.channels_last)
    return LabelledImages(kept, labels, [f"{kind}/{index}" for index in range(len(images))])


def _as_tensor(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    try:
        return torch.tensor(np.ascontiguousarray(values))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"data.images, data.labels: tensors or numpy arrays are needed ({one_line(str(error), 80)}); for a file: "
            "--data=ArrayFileDataModule --data.file=….npz"
        ) from error


def _check_images(name: str, images: Tensor) -> None:
    shape = list(images.shape)
    if images.dtype != torch.uint8:
        remedy = "; for floats 0 … 1: (images * 255).round().to(torch.uint8)" if images.is_floating_point() else ""
        raise UserError(f"{name}: {images.dtype}, but pixels are uint8, 0 … 255 (they are normalised later){remedy}")
    if images.ndim == 3:
        raise UserError(f"{name}: {shape}, but [N, C, H, W] is needed; for grey images: images[:, None]")
    if images.ndim == 4 and shape[1] == shape[2] != shape[3]:
        raise UserError(f"{name}: {shape}, but [N, C, H, W] is needed; move the channels: images.transpose(0, 3, 1, 2)")
    if images.ndim != 4 or shape[2] != shape[3]:
        raise UserError(f"{name}: {shape}, but [N, C, H, W] with equal height and width is needed; crop or resize them")
    if not images.numel():
        raise UserError(f"{name}: {shape}, so there is no image")
