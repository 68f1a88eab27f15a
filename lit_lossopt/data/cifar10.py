"""CIFAR-10: 60,000 colour images of ten classes, 32×32, from the official archive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torchvision.datasets import CIFAR10

from lit_lossopt.data.batches import LabelledImages, as_images
from lit_lossopt.data.image_data import ImageDataModule, Split
from lit_lossopt.errors import UserError, one_line

CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class CIFAR10DataModule(ImageDataModule):
    """CIFAR-10 as torchvision reads it; downloaded (170 MB) when it is not there.

    Args:
        folder: where the archive ``cifar-10-python.tar.gz`` lies, or goes.
        download: whether it may be fetched when it is missing.
        **options: those of ``ImageDataModule``.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """

    def __init__(self, folder: str | os.PathLike[str] = "data", download: bool = True, **options: Any) -> None:
        self.folder = Path(folder)
        self.download = download
        super().__init__(**options)

    @property
    def all_class_names(self) -> list[str]:
        """The ten classes in the official order."""
        return CLASS_NAMES

    @property
    def in_channels(self) -> int:
        """Three: red, green, blue."""
        return 3

    @property
    def image_size(self) -> int:
        """32 pixels."""
        return 32

    def prepare_data(self) -> None:
        """Fetch the archive if it is missing, and verify it.

        Raises:
            UserError: it is missing or damaged and could not be fetched.
        """
        try:
            CIFAR10(str(self.folder), train=True, download=self.download)
        except (RuntimeError, URLError, OSError) as error:
            raise UserError(
                f"CIFAR-10 is not in {self.folder} and could not be fetched ({one_line(str(error), 120)}); put "
                f"cifar-10-python.tar.gz into {self.folder}, or train on the embedded images with "
                "--data=DigitsDataModule, or on a folder with --data=ImageFolderDataModule --data.folder=…"
            ) from error

    def read(self, split: Split) -> LabelledImages:
        """Return the images of a split in the official order."""
        dataset = CIFAR10(str(self.folder), train=split == "train")
        labels = torch.tensor(dataset.targets, dtype=torch.int64)
        return LabelledImages(as_images(dataset.data), labels, [f"cifar10/{split}/{i}" for i in range(len(labels))])
