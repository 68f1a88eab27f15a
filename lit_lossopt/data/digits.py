"""scikit-learn's 1,797 images of handwritten digits.

They are real images of 8×8 pixels, and come with the package, so no network is needed.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.image_data import ImageDataModule, Split
from lit_lossopt.data.stratified import split_places

TEST_FRACTION = 0.2


class DigitsDataModule(ImageDataModule):
    """Digits 0 to 9 as 8×8 grayscale images.

    The test split is always the same fifth of the images, stratified by class, whatever the seed.

    >>> data = DigitsDataModule(classes=["3", "8"])
    >>> data.setup("fit")
    >>> data.summary("fit")
    'data: 2 classes (3, 8); 256 training, 29 validation, 72 test images'

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """

    @property
    def all_class_names(self) -> list[str]:
        """The digits as strings."""
        return [str(digit) for digit in range(10)]

    @property
    def in_channels(self) -> int:
        """One channel, because the images are grayscale."""
        return 1

    @property
    def image_size(self) -> int:
        """Eight pixels."""
        return 8

    def test_labels(self) -> Tensor:
        """Return the labels of the test images."""
        return self.read("test").labels

    def read(self, split: Split) -> LabelledImages:
        """Return the images of a split.

        Pixel values 0 … 16 are spread to 0 … 240.
        """
        images, labels = _digits()
        train, test = split_places(labels, TEST_FRACTION, seed=0)
        index = train if split == "train" else test
        pixels = (images[index] * 15).astype(np.uint8)[..., np.newaxis]
        return LabelledImages(as_images(pixels), torch.from_numpy(labels[index]), [f"digits/{i}" for i in index])


@cache
def _digits() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return images ``[N, 8, 8]`` and labels ``[N]``, which nobody changes; a run reads each split."""
    package = importlib.util.find_spec("sklearn")
    folder = Path(package.origin).parent if package and package.origin else None
    return read_table(folder / "datasets" / "data" / "digits.csv.gz" if folder else None)


def read_table(table: Path | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return images ``[N, 8, 8]`` and labels ``[N]`` of the digits.

    The table lies in scikit-learn's folder. To read it there takes less than a tenth of scikit-learn's own import. A
    scikit-learn that keeps it elsewhere is asked for it.

    Args:
        table: where it should be; None if scikit-learn's folder is not known.
    """
    if table and table.is_file():
        rows = np.loadtxt(table, delimiter=",").astype(np.int64)
        return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1]
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.int64), digits.target.astype(np.int64)
