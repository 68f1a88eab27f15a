"""scikit-learn's digits.

They are 1,797 real 8×8 images of handwritten digits that come with the package. No network is needed.
"""

from __future__ import annotations

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

    A fixed, stratified fifth is the test split, whatever the seed.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """

    @property
    def all_class_names(self) -> list[str]:
        """The digits as strings."""
        return [str(digit) for digit in range(10)]

    @property
    def in_channels(self) -> int:
        """One channel, as the images are grayscale."""
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
        digits = load_digits()
        train, test = train_test_split(
            np.arange(len(digits.target)), test_size=TEST_FRACTION, stratify=digits.target, random_state=0
        )
        index = np.sort(train if split == "train" else test)
        pixels = (digits.images[index] * 15).astype(np.uint8)[..., np.newaxis]
        labels = torch.from_numpy(digits.target[index].astype(np.int64))
        return LabelledImages(as_images(pixels), labels, [f"digits/{i}" for i in index])
