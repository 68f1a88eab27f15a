"""Datasets of small images, held in memory.

They are CIFAR-10, any folder of images, arrays, and scikit-learn's digits, which need no network. Files or arrays come
in. Batches of normalised images and labels go out, in an order that the seed fixes.
"""

from lit_lossopt.data.arrays import ArrayDataModule, ArrayFileDataModule
from lit_lossopt.data.batches import LabelledImages
from lit_lossopt.data.cifar10 import CIFAR10DataModule
from lit_lossopt.data.digits import DigitsDataModule
from lit_lossopt.data.given import GivenData
from lit_lossopt.data.image_data import ImageDataModule
from lit_lossopt.data.image_folder import ImageFolderDataModule

__all__ = [
    "ArrayDataModule",
    "ArrayFileDataModule",
    "CIFAR10DataModule",
    "DigitsDataModule",
    "GivenData",
    "ImageDataModule",
    "ImageFolderDataModule",
    "LabelledImages",
]
