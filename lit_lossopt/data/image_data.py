"""The base of all data modules: uint8 images in memory, split by seed, served in an order that (seed, epoch) fixes.

A batch is a handful of tensor operations: rows of one uint8 array are gathered on the host, moved, and turned to
normalised floats on the device. There is no per-image Python and there are no worker processes.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from lit_lossopt.errors import Notice, UserError, did_you_mean
from lit_lossopt.seeds import derive_seed

NOTE_TEST_IMAGES = "data.validate_on_test: val/… is measured on the test images; choose nothing by it"
Split = Literal["train", "test", "predict"]


@dataclass(frozen=True)
class LabelledImages:
    """Images ``[N, C, H, W]`` uint8 (channels last in memory), labels ``[N]`` int64 (−1: unknown), and their names."""

    images: Tensor
    labels: Tensor
    sources: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> LabelledImages:
        """Return the images at ``index`` ``[M]`` int64."""
        channels_last = self.images.permute(0, 2, 3, 1)[index].permute(0, 3, 1, 2)
        return LabelledImages(channels_last, self.labels[index], [self.sources[i] for i in index.tolist()])


class BatchLoader:
    """Serves batches ``(images [B, C, H, W] uint8, labels [B])`` of an array in memory.

    Args:
        data: the images.
        batch_size: images a batch.
        order: called at the start of each pass, gives the order ``[N]`` of the images; None keeps them as they are.
        drop_last: leave out a last batch that would be smaller.
    """

    def __init__(
        self,
        data: LabelledImages,
        batch_size: int,
        order: Callable[[], Tensor] | None = None,
        *,
        drop_last: bool = False,
    ) -> None:
        self.data = data
        self.batch_size = batch_size
        self.order = order
        self.drop_last = drop_last
        self._rows = data.images.permute(0, 2, 3, 1).contiguous()

    def __len__(self) -> int:
        whole, rest = divmod(len(self.data), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = self.order() if self.order else torch.arange(len(self.data))
        for index in torch.split(order, self.batch_size)[: len(self)]:
            yield self._rows.index_select(0, index).permute(0, 3, 1, 2), self.data.labels.index_select(0, index)


class ImageDataModule(pl.LightningDataModule):
    """A dataset of small images with a training, a validation and a test split.

    Args:
        batch_size: images a training batch.
        eval_batch_size: images a batch in validation, test and prediction; has no influence on results.
        val_fraction: share of the training images held out for validation, stratified by class, chosen by the seed.
        classes: names of the classes to keep, in the order of their labels; None keeps all.
        drop_last: leave out an epoch's last batch if it is smaller. It would be a step of more noise than the others,
            taken just before the evaluation: with plain SGD on CIFAR-10 (a last batch of 16) it cost about two points
            of the accuracy after the first epoch. Each epoch leaves out other images.
        validate_on_test: train on all training images and evaluate on the test images, for comparison with published
            numbers; then nothing may be chosen by the validation metrics.
        seed: fixes the split and the order of batches.

    Raises:
        UserError: a class that the data lack, or a size or fraction out of range.
    """

    def __init__(
        self,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        val_fraction: float = 0.1,
        classes: list[str | int] | None = None,
        drop_last: bool = True,
        validate_on_test: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1 or eval_batch_size < 1:
            raise UserError(f"data.batch_size={batch_size}, data.eval_batch_size={eval_batch_size}: must be at least 1")
        if not 0 < val_fraction < 1:
            raise UserError(f"data.val_fraction={val_fraction}: must lie between 0 and 1")
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.val_fraction = val_fraction
        self.drop_last = drop_last
        self.validate_on_test = validate_on_test
        self.seed = seed
        self._labels_kept = self._choose(classes)
        self._splits: dict[str, LabelledImages] = {}
        self._statistics: tuple[Tensor, Tensor] | None = None

    @property
    @abstractmethod
    def all_class_names(self) -> list[str]:
        """Names of all classes of the dataset, in the order of its own labels."""

    @property
    @abstractmethod
    def in_channels(self) -> int:
        """Channels C of the images."""

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Height and width of the images in pixels."""

    @abstractmethod
    def read(self, split: Split) -> LabelledImages:
        """Return all images of a split, with the dataset's own labels."""

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in use, in the order of their labels."""
        return [self.all_class_names[label] for label in self._labels_kept]

    @property
    def num_classes(self) -> int:
        """Number of classes K in use."""
        return len(self._labels_kept)

    def setup(self, stage: str) -> None:
        """Read what the stage needs, once."""
        if stage in ("fit", "validate") and "train" not in self._splits:
            self._split_training_images()
        if stage == "test" and "test" not in self._splits:
            self._splits["test"] = self._keep(self.read("test"))
        if stage == "predict" and "predict" not in self._splits:
            self._splits["predict"] = self.read("predict")

    def images(self, split: Literal["train", "val", "test", "predict"]) -> LabelledImages:
        """Return the images of a split that ``setup`` has read."""
        return self._splits[split]

    def epoch_order(self, epoch: int) -> Tensor:
        """Return the order ``[N]`` of the training images in an epoch: a function of (seed, epoch) alone."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
        return torch.randperm(len(self._splits["train"]), generator=generator)

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches in the order of the trainer's epoch."""
        order = lambda: self.epoch_order(self._epoch())  # noqa: E731  # a thought of one line
        return BatchLoader(self._splits["train"], self.batch_size, order, drop_last=self.drop_last)

    def val_dataloader(self) -> BatchLoader:
        """Return the validation batches."""
        return BatchLoader(self._splits["val"], self.eval_batch_size)

    def test_dataloader(self) -> BatchLoader:
        """Return the test batches."""
        return BatchLoader(self._splits["test"], self.eval_batch_size)

    def predict_dataloader(self) -> BatchLoader:
        """Return the batches to predict."""
        return BatchLoader(self._splits["predict"], self.eval_batch_size)

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Return the batch with images as normalised float32, computed on their device."""
        images, labels = batch
        scale, shift = self._normalisation(images.device)
        return images.to(torch.float32).mul_(scale).add_(shift), labels

    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer else 0

    def _normalisation(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if self._statistics is None:
            training = self._splits["train"] if "train" in self._splits else self._keep(self.read("train"))
            mean, std = channel_statistics(training.images)
            self._statistics = ((1 / std).view(1, -1, 1, 1), (-mean / std).view(1, -1, 1, 1))
        scale, shift = (value.to(device) for value in self._statistics)
        self._statistics = scale, shift
        return scale, shift

    def _split_training_images(self) -> None:
        training = self._keep(self.read("train"))
        self._statistics = None
        if self.validate_on_test:
            self._check_size(training)
            warnings.warn(NOTE_TEST_IMAGES, Notice, stacklevel=2)
            self._splits["train"], self._splits["val"] = training, self._keep(self.read("test"))
            return
        train, val = train_test_split(
            torch.arange(len(training)).numpy(),
            test_size=self.val_fraction,
            stratify=training.labels.numpy(),
            random_state=derive_seed(self.seed, "split"),
        )
        self._splits["train"] = training.take(torch.from_numpy(train).sort().values)
        self._splits["val"] = training.take(torch.from_numpy(val).sort().values)
        self._check_size(self._splits["train"])

    def _check_size(self, training: LabelledImages) -> None:
        if len(training) < (self.batch_size if self.drop_last else 1):
            raise UserError(
                f"data.batch_size={self.batch_size}: there are only {len(training)} training images, not one whole "
                "batch; take a smaller batch"
            )

    def _choose(self, classes: list[str | int] | None) -> list[int]:
        available = self.all_class_names
        if classes is None:
            return list(range(len(available)))
        chosen = [str(name) for name in classes]
        for name in chosen:
            if name not in available:
                raise UserError(
                    f"data.classes: no class {name!r}{did_you_mean(name, available)}; there are: {', '.join(available)}"
                )
        if len(chosen) < 2 or len(set(chosen)) < len(chosen):
            raise UserError(f"data.classes={chosen}: name at least two different classes")
        return [available.index(name) for name in chosen]

    def _keep(self, data: LabelledImages) -> LabelledImages:
        """Return the images of the chosen classes, relabelled 0 … K − 1 in their order."""
        if self._labels_kept == list(range(len(self.all_class_names))):
            return data
        relabel = torch.full((len(self.all_class_names),), -1, dtype=torch.int64)
        relabel[self._labels_kept] = torch.arange(self.num_classes)
        labels = relabel[data.labels]
        kept = data.take((labels >= 0).nonzero().flatten())
        return LabelledImages(kept.images, labels[labels >= 0], kept.sources)


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation ``[C]`` float32 of images ``[N, C, H, W]`` uint8, exact to rounding."""
    total = torch.zeros(images.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    for chunk in torch.split(images, 1024):
        values = chunk.to(torch.float32)
        total += values.sum(dim=(0, 2, 3), dtype=torch.float64)
        squares += values.square().sum(dim=(0, 2, 3), dtype=torch.float64)
    count = images.numel() / images.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(1e-12).sqrt()
    return mean.float(), std.float()


def as_images(array: Any) -> Tensor:
    """Return an array ``[N, H, W, C]`` uint8 as a tensor ``[N, C, H, W]``, channels last in memory, without a copy."""
    return torch.from_numpy(array).permute(0, 3, 1, 2)
