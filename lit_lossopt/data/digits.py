"""scikit-learn's 1,797 images of handwritten digits.

They are real images of 8×8 pixels, and come with the package, so no network is needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.image_data import ImageDataModule, Split

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
        digits = _digits()
        train, test = train_test_split(
            np.arange(len(digits.target)), test_size=TEST_FRACTION, stratify=digits.target, random_state=0
        )
        index = np.sort(train if split == "train" else test)
        pixels = (digits.images[index] * 15).astype(np.uint8)[..., np.newaxis]
        labels = torch.from_numpy(digits.target[index].astype(np.int64))
        return LabelledImages(as_images(pixels), labels, [f"digits/{i}" for i in index])


@cache
def _digits() -> Any:
    """Return scikit-learn's arrays, which nobody changes; a run reads each split, and the table is text."""
    return load_digits()
