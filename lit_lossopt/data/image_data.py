"""The base of all data modules.

Images are uint8 in memory. The seed splits them, and (seed, epoch) fixes the order in which they are served.

A batch is a handful of tensor operations: rows of one uint8 array are gathered on the host, moved, augmented and turned
to normalised floats on the device. There is no per-image Python and there are no worker processes.
"""

from __future__ import annotations

import hashlib
import warnings
from abc import abstractmethod
from dataclasses import replace
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.data.augmentation import Augmentation, BatchTransform
from lit_lossopt.data.batches import (
    WHOLE,
    BatchLoader,
    LabelledImages,
    Pass,
    Share,
    channel_statistics,
    check_all_have_some,
)
from lit_lossopt.data.classes import check_labels, choose_classes, keep_classes
from lit_lossopt.data.held_out import check_held_out
from lit_lossopt.data.mixing import Mixing, mix_labels
from lit_lossopt.data.splits import stratified_split
from lit_lossopt.data.summary import data_line

NOTE_TEST_IMAGES = "data.validate_on_test: val/… is measured on the test images; choose nothing by it"
Split = Literal["train", "val", "test", "predict"]


class ImageDataModule(pl.LightningDataModule):
    """A dataset of small images.

    It has a training, a validation and a test split.

    Args:
        batch_size: images a training batch, on all devices together.
        eval_batch_size: images a batch in validation, test and prediction; has no influence on results.
        val_fraction: share of the training images held out for validation, stratified by class, chosen by the seed;
            without effect where the data bring validation images of their own.
        classes: names of the classes to keep, in the order of their labels; None keeps all.
        drop_last: leave out an epoch's last batch if it is smaller. It would be a step of more noise than the others,
            taken just before the evaluation: with plain SGD on CIFAR-10 (a last batch of 16) it cost about four points
            of the accuracy after the first epoch. Each epoch leaves out other images.
        validate_on_test: train on all training images and evaluate on the test images, for comparison with published
            numbers; then nothing may be chosen by the validation metrics.
        augmentation: transforms of the training images, in order: PadCrop, HorizontalFlip, Cutout, ColorJitter on whole
            batches, or any of torchvision v2, image by image.
        mixing: MixUp or CutMix of the training images, for losses that take soft labels.
        seed: fixes the split, the order of batches and the augmentation.

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
        augmentation: list[BatchTransform | v2.Transform] | None = None,
        mixing: Mixing | None = None,
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
        self.augmentation = Augmentation(augmentation or [])
        self.mixing = mixing
        # A plain int: a checkpoint may hold no class of the parser's.
        self.seed = int(seed)
        self._labels_kept = choose_classes(classes, self.all_class_names)
        self._splits: dict[str, LabelledImages] = {}
        self._statistics: tuple[Tensor, Tensor] | None = None

    @property
    @abstractmethod
    def all_class_names(self) -> list[str]:
        """Names of all classes of the dataset.

        They are in the order of its own labels.
        """

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
        """Return all images of a split.

        They have the dataset's own labels. ``val`` is there only where it is not drawn.
        """

    @property
    def val_is_drawn(self) -> bool:
        """Whether the seed draws the validation images.

        They are then drawn from the training images.
        """
        return True

    def test_labels(self) -> Tensor | None:
        """Return the dataset's own labels of the test images.

        The result is None where that would take long reading.
        """
        return None

    @property
    def pool(self) -> str | None:
        """A name for the set of images that the seed splits.

        It matters where the set may be another at the next start.
        """
        return None

    def facts(self) -> dict[str, int | str]:
        """Return what a run should record about its data.

        It is more than their settings, and known once they are set up.
        """
        return {}

    @property
    def class_names(self) -> list[str]:
        """Names of the classes in use, in the order of labels."""
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
            everything = self.read("predict")
            self._splits["predict"] = everything if (everything.labels < 0).any() else self._keep(everything)

    def images(self, split: Literal["train", "val", "test", "predict"]) -> LabelledImages:
        """Return the images of a split that ``setup`` has read."""
        return self._splits[split]

    def sizes(self) -> dict[str, int]:
        """Return the number of images in use of each split.

        Unknown splits are left out.
        """
        found = {split: len(images) for split, images in self._splits.items()}
        labels = None if "test" in found else self.test_labels()
        if labels is not None:
            found["test"] = int(torch.isin(labels, torch.tensor(self._labels_kept)).sum())
        return found

    def summary(self, stage: str) -> str:
        """Return what a stage works with, in one line.

        It has the classes and the number of images.
        """
        return data_line(self.class_names, self.sizes(), stage)

    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 of the images in use.

        Their labels are included, as the split left them.
        """
        found = {}
        for split in self._splits:
            digest = hashlib.sha256(self._splits[split].labels.numpy().tobytes())
            digest.update(self._splits[split].images.permute(0, 2, 3, 1).contiguous().numpy().data)
            found[split] = digest.hexdigest()
        return found

    def epoch_order(self, epoch: int) -> Tensor:
        """Return the order ``[N]`` of the training images.

        It is a function of (seed, epoch) alone.
        """
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
        return torch.randperm(len(self._splits["train"]), generator=generator)

    def epoch_pass(self, epoch: int) -> Pass:
        """Return an epoch's order and random numbers.

        Each training image has its numbers. They are functions of (seed, epoch) alone.
        """
        count = len(self._splits["train"])
        numbers = torch.empty(count, 0)
        partners = None
        if self.augmentation.draws:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "augmentation", epoch))
            numbers = torch.rand(count, self.augmentation.draws, generator=generator)
        if self.mixing:
            mixed = self.mixing.numbers(derive_seed(self.seed, "mixing", epoch), count)
            numbers = torch.cat([numbers, mixed], dim=1)
            random = np.random.default_rng(derive_seed(self.seed, "partners", epoch))
            partners = torch.from_numpy(random.integers(0, count, count))
        if not self.augmentation.transforms and not self.mixing:
            return Pass(self.epoch_order(epoch))
        # As integers they pass a trainer in half precision unrounded.
        return Pass(self.epoch_order(epoch), numbers.view(torch.int32), partners)

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches of the trainer's epoch.

        They begin where the epoch was interrupted.
        """
        new_pass = lambda: self.epoch_pass(self._epoch())  # noqa: E731  # a thought of one line
        train, start = self._splits["train"], self._batches_done()
        return BatchLoader(train, self.batch_size, new_pass, drop_last=self.drop_last, start=start, share=self._share())

    def val_dataloader(self) -> BatchLoader:
        """Return the validation batches."""
        return self._evaluation_batches("val")

    def test_dataloader(self) -> BatchLoader:
        """Return the test batches."""
        return self._evaluation_batches("test")

    def predict_dataloader(self) -> BatchLoader:
        """Return the batches to predict."""
        return BatchLoader(self._splits["predict"], self.eval_batch_size)

    def on_after_batch_transfer(self, batch: tuple[Tensor, ...], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Return images and labels as the network takes them.

        Images are normalised float32 ``[B, C, H, W]``, labels ``[B]``, on their device.

        A batch with random numbers is one of training: it is augmented by them, or also mixed, to labels ``[B, K]``.
        """
        images, labels, *more = batch
        scale, shift = self._normalisation(images.device)
        if not more:
            return _normalised(images, scale, shift), labels
        numbers = more[0].view(torch.float32)
        for_augmentation, for_mixing = numbers.tensor_split([self.augmentation.draws], dim=1)
        images = self.augmentation(images, for_augmentation, (-shift / scale).flatten())
        values = _normalised(images, scale, shift)
        if self.mixing is None:
            return values, labels
        own, partners = values.chunk(2)
        mixed, share = self.mixing(own, partners, for_mixing[: len(own)])
        own_labels, partner_labels = labels.chunk(2)
        return mixed, mix_labels(own_labels, partner_labels, share, self.num_classes)

    def augmented_examples(self, count: int = 8, epochs: int = 4) -> Tensor | None:
        """Return training images as epochs will show them.

        They are ``[1 + epochs, count, C, H, W]`` uint8. The first are the images as they are.

        None if they are neither augmented nor mixed.
        """
        train = self._splits["train"]
        index = torch.linspace(0, len(train) - 1, min(count, len(train))).long()
        rows = [train.images[index]]
        for epoch in range(epochs):
            one_batch = replace(self.epoch_pass(epoch), order=index)
            if one_batch.numbers is None:
                return None
            batch = next(iter(BatchLoader(train, count, lambda now=one_batch: now)))  # type: ignore[misc]  # bound now
            values = self.on_after_batch_transfer(batch, 0)[0]
            scale, shift = self._normalisation(values.device)
            rows.append(((values - shift) / scale).round().clamp(0, 255).to(torch.uint8))
        return torch.stack(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return what trained weights depend on.

        It is normalisation, size, classes, and how validation images were chosen.
        """
        scale, shift = self._normalisation(torch.device("cpu"))
        return {
            "scale": scale,
            "shift": shift,
            "image_size": self.image_size,
            "class_names": self.class_names,
            "split": self._split_settings(),
            "pool": self.pool,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the normalisation of trained weights.

        Other classes are refused, and images that another split has held out.

        Raises:
            UserError: what was trained on and what is asked for do not fit together.
        """
        if list(state_dict["class_names"]) != self.class_names:
            raise UserError(
                f"--ckpt_path: trained on the classes {', '.join(state_dict['class_names'])}, not on "
                f"{', '.join(self.class_names)}; use the run's config.yaml"
            )
        deciding = self._deciding(self.trainer.state.fn if self.trainer else None)
        check_held_out(state_dict, self._split_settings(), deciding, self.pool)
        self._statistics = state_dict["scale"], state_dict["shift"]

    def _split_settings(self) -> dict[str, Any]:
        on_test = {"data.validate_on_test": self.validate_on_test}
        if not self.val_is_drawn:
            return on_test
        return {"seed_everything": self.seed, "data.val_fraction": self.val_fraction, **on_test}

    def _deciding(self, command: str | None) -> set[str]:
        """Return the settings that decide which images are held out.

        They are those that ``command`` may evaluate.
        """
        settings = set(self._split_settings())
        if command == "test" and "data.test_fraction" in settings:
            return {"seed_everything", "data.test_fraction"}
        if command == "validate" and not self.val_is_drawn:
            return set()
        return settings if command in ("validate", "fit") else set()

    def _evaluation_batches(self, split: str) -> BatchLoader:
        data, share = self._splits[split], self._share()
        check_all_have_some(split, len(data), self.eval_batch_size, share.ranks)
        return BatchLoader(data, self.eval_batch_size, share=share)

    def _share(self) -> Share:
        return Share(self.trainer.global_rank, self.trainer.world_size) if self.trainer else WHOLE

    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer else 0

    def _batches_done(self) -> int:
        """Return how many batches an interrupted epoch has done."""
        if self.trainer is None or not self.trainer.fit_loop.restarting:
            return 0
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        if progress.is_last_batch:
            # The epoch was trained to its end: what comes is the next.
            return 0
        done: Any = progress.current
        # A checkpoint saved in on_train_batch_end counts its own batch as processed, and not yet as completed.
        return int(done.completed + (done.ready == done.processed == done.completed + 1))

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
        if not self.val_is_drawn:
            self._check_size(training)
            self._splits["train"], self._splits["val"] = training, self._keep(self.read("val"))
            return
        try:
            train, val = stratified_split(training.labels, self.val_fraction, derive_seed(self.seed, "split"))
        except ValueError as error:
            raise UserError(
                f"data.val_fraction={self.val_fraction}: {len(training)} training images of {self.num_classes} classes "
                "cannot be split so that each class has one on both sides; change it, or add images"
            ) from error
        self._splits["train"] = training.take(train)
        self._splits["val"] = training.take(val)
        self._check_size(self._splits["train"])

    def _check_size(self, training: LabelledImages) -> None:
        if len(training) < (self.batch_size if self.drop_last else 1):
            raise UserError(
                f"data.batch_size={self.batch_size}: there are only {len(training)} training images, not one whole "
                "batch; take a smaller batch"
            )

    def _keep(self, data: LabelledImages) -> LabelledImages:
        check_labels(data, len(self.all_class_names))
        return keep_classes(data, self._labels_kept, len(self.all_class_names))


def _normalised(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return images.to(torch.float32).mul_(scale).add_(shift)
