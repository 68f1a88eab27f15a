"""Random images in memory, as many as a measurement has steps for."""

from __future__ import annotations

import numpy as np
import torch

from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.image_data import ImageDataModule, Split


class Images32(ImageDataModule):
    """Random images of CIFAR-10's size."""

    all_class_names = [str(label) for label in range(10)]  # noqa: RUF012  # a constant in place of a property
    in_channels = 3
    image_size = 32
    count = 40_000

    def read(self, split: Split) -> LabelledImages:
        """Return random images, the same for every split."""
        random = np.random.default_rng(0)
        size = (self.count, self.image_size, self.image_size, self.in_channels)
        pixels = random.integers(0, 256, size, dtype=np.uint8)
        labels = torch.from_numpy(random.integers(0, 10, self.count))
        return LabelledImages(as_images(pixels), labels, [""] * self.count)


class Images8(Images32):
    """Random images of the size of scikit-learn's digits."""

    in_channels = 1
    image_size = 8
    count = 260_000
