"""The base class of all datasets.

Images lie in memory as one uint8 array, are split by the seed, and are served in an order that seed and epoch fix.
A batch takes a handful of tensor operations. Rows of the array are gathered on the host, moved, augmented, and turned
into normalised floats on the device. There is no Python code for each image, and there are no worker processes.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from torch import Tensor
from torchvision.transforms import v2

from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.data.augmentation import Augmentation, BatchTransform
from lit_lossopt.data.batches import (
    WHOLE,
    BatchLoader,
    LabelledImages,
    Pass,
    Share,
    check_all_have_some,
    check_fills_a_batch,
)
from lit_lossopt.data.classes import check_labels, choose_classes, keep_classes
from lit_lossopt.data.epochs import batches_done, order_of_epoch, pass_of_epoch
from lit_lossopt.data.held_out import check_held_out, deciding_settings
from lit_lossopt.data.mixing import Mixing, mix_labels
from lit_lossopt.data.normalisation import Normalisation
from lit_lossopt.data.sources import Resident, Sources
from lit_lossopt.data.splits import draw_validation_images
from lit_lossopt.data.summary import data_line

NOTE_TEST_IMAGES = "data.validate_on_test: val/… is measured on the test images; choose nothing by it"
Split = Literal["train", "val", "test", "predict"]


class ImageDataModule(pl.LightningDataModule):
    """A dataset of small images, split for training, validation and test.

    A subclass must give ``all_class_names``, ``in_channels``, ``image_size`` and ``read``. It may give
    ``val_is_drawn``, ``test_labels``, ``pool`` and ``facts``, which have defaults.

    Args:
        batch_size: images in a training batch, on all devices together.
        eval_batch_size: images in a batch of validation, test and prediction. It has no influence on results.
        val_fraction: share of the training images held out for validation. They are stratified by class and chosen by
            the seed. It has no effect where the data bring validation images of their own.
        classes: names of the classes to keep, in the order of their labels. None keeps all.
        drop_last: leave out an epoch's last batch if it is smaller. It would be a step of more noise than the others,
            taken just before the evaluation. With plain SGD on CIFAR-10 a last batch of 16 cost about four points of
            the accuracy after the first epoch. Each epoch leaves out other images.
        validate_on_test: train on all training images and evaluate on the test images, for comparison with published
            numbers. Nothing may then be chosen by the validation metrics.
        augmentation: transforms of the training images, in order. PadCrop, HorizontalFlip, Cutout and ColorJitter work
            on whole batches. Any of torchvision v2 works too, image by image.
        mixing: MixUp or CutMix of the training images, for losses that take soft labels.
        resident: whether the images lie on the device that trains, so that a step copies none. ``auto`` means a GPU
            whose free memory is twice as large. It has no influence on results.
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
        resident: Resident = "auto",
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
        self._sources = Sources(resident)
        # A plain int, because a checkpoint may hold no class of the parser's.
        self.seed = int(seed)
        self._labels_kept = choose_classes(classes, self.all_class_names)
        self._splits: dict[str, LabelledImages] = {}
        self._normalisation: Normalisation | None = None

    @property
    @abstractmethod
    def all_class_names(self) -> list[str]:
        """Names of all classes, in the order of the dataset's own labels."""

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
        """Return all images of a split, with the dataset's own labels.

        ``val`` is asked for only where it is not drawn.
        """

    @property
    def val_is_drawn(self) -> bool:
        """Whether the seed draws the validation images.

        They are then drawn from the training images.
        """
        return True

    def test_labels(self) -> Tensor | None:
        """Return the dataset's own labels of the test images.

        None means that they are not known without long reading.
        """
        return None

    @property
    def pool(self) -> str | None:
        """A name of the set of images that the seed splits.

        None means that the set is always the same. The name changes with the set.
        """
        return None

    def facts(self) -> dict[str, int | str]:
        """Return what a run records about its data, beyond their settings.

        It is asked for after ``setup``.
        """
        return {}

    def told_apart_by(self) -> dict[str, Any]:
        """Return what tells these data from others, whatever was read, and trained on, meanwhile.

        The seed is none of it. Runs of several seeds are of the same data.
        """
        meanwhile = ("seed", "trainer", "_splits", "_sources", "_normalisation", "pool")
        return {name: value for name, value in vars(self).items() if name not in meanwhile}

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
        """Return the number of images of each split, as far as known."""
        sizes = {split: len(images) for split, images in self._splits.items()}
        labels = None if "test" in sizes else self.test_labels()
        if labels is not None:
            sizes["test"] = int(torch.isin(labels, torch.tensor(self._labels_kept)).sum())
        return sizes

    def summary(self, stage: str) -> str:
        """Return classes and numbers of images of a stage, in one line."""
        return data_line(self.class_names, self.sizes(), stage)

    def checksums(self) -> dict[str, str]:
        """Return the SHA-256 of the images and labels of each split."""
        return {split: data.sha256() for split, data in self._splits.items()}

    def epoch_order(self, epoch: int) -> Tensor:
        """Return the order ``[N]`` of the training images in an epoch."""
        return order_of_epoch(self.seed, epoch, len(self._splits["train"]))

    def epoch_pass(self, epoch: int) -> Pass:
        """Return an epoch's order, and the random numbers of each training image."""
        return pass_of_epoch(self.seed, epoch, len(self._splits["train"]), self.augmentation, self.mixing)

    def train_dataloader(self) -> BatchLoader:
        """Return the training batches of the trainer's epoch.

        An interrupted epoch goes on where it was.
        """
        new_pass = lambda: self.epoch_pass(self.trainer.current_epoch if self.trainer else 0)  # noqa: E731  # one line
        start = batches_done(self.trainer)
        return self._batches("train", self.batch_size, new_pass, drop_last=self.drop_last, start=start)

    def val_dataloader(self) -> BatchLoader:
        """Return the validation batches."""
        return self._evaluation_batches("val")

    def test_dataloader(self) -> BatchLoader:
        """Return the test batches."""
        return self._evaluation_batches("test")

    def predict_dataloader(self) -> BatchLoader:
        """Return the batches to predict."""
        # All of them on each device.
        return self._batches("predict", self.eval_batch_size, share=WHOLE)

    def teardown(self, stage: str) -> None:
        """Give the device its memory back."""
        self._sources.forget()

    def on_after_batch_transfer(self, batch: tuple[Tensor, ...], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Return normalised images and their labels, on their device.

        Images are ``[B, C, H, W]`` float32, labels ``[B]``. A batch with random numbers is one of training, and is
        augmented by them. Mixed images have labels ``[B, K]``.
        """
        images, labels, *more = batch
        normalisation = self._normalisation_on(images.device)
        if not more:
            return normalisation.applied(images), labels
        numbers = more[0].view(torch.float32)
        for_augmentation, for_mixing = numbers.tensor_split([self.augmentation.draws], dim=1)
        values = normalisation.applied(self.augmentation(images, for_augmentation, normalisation.mean))
        if self.mixing is None:
            return values, labels
        own, partners = values.chunk(2)
        mixed, share = self.mixing(own, partners, for_mixing[: len(own)])
        own_labels, partner_labels = labels.chunk(2)
        return mixed, mix_labels(own_labels, partner_labels, share, self.num_classes)

    def augmented_examples(self, count: int = 8, epochs: int = 4) -> Tensor | None:
        """Return training images as they are, and as each epoch will show them.

        They are ``[1 + epochs, count, C, H, W]`` uint8. None means that they are neither augmented nor mixed.
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
            rows.append(self._normalisation_on(values.device).undone(values))
        return torch.stack(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return what trained weights depend on.

        That is normalisation, size, classes, and how validation images were chosen.
        """
        scale, shift = self._normalisation_on(torch.device("cpu"))
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

        Raises:
            UserError: the weights were trained on other classes, or other images were held out then.
        """
        if list(state_dict["class_names"]) != self.class_names:
            raise UserError(
                f"--ckpt_path: trained on the classes {', '.join(state_dict['class_names'])}, not on "
                f"{', '.join(self.class_names)}; use the run's config.yaml"
            )
        settings, command = self._split_settings(), self.trainer.state.fn if self.trainer else None
        check_held_out(state_dict, settings, deciding_settings(command, settings, self.val_is_drawn), self.pool)
        self._normalisation = Normalisation(state_dict["scale"], state_dict["shift"])

    def _split_settings(self) -> dict[str, Any]:
        on_test = {"data.validate_on_test": self.validate_on_test}
        if not self.val_is_drawn:
            return on_test
        return {"seed_everything": self.seed, "data.val_fraction": self.val_fraction, **on_test}

    def _evaluation_batches(self, split: str) -> BatchLoader:
        check_all_have_some(split, len(self._splits[split]), self.eval_batch_size, self._share().ranks)
        return self._batches(split, self.eval_batch_size)

    def _batches(
        self, split: str, size: int, new_pass: Callable[[], Pass] | None = None, **options: Any
    ) -> BatchLoader:
        data = self._splits[split]
        source = self._sources.of(split, data, self.trainer)
        return BatchLoader(data, size, new_pass, **{"share": self._share(), "source": source, **options})

    def _share(self) -> Share:
        return Share(self.trainer.global_rank, self.trainer.world_size) if self.trainer else WHOLE

    def _normalisation_on(self, device: torch.device) -> Normalisation:
        if self._normalisation is None:
            training = self._splits["train"] if "train" in self._splits else self._keep(self.read("train"))
            self._normalisation = Normalisation.of(training.images)
        self._normalisation = self._normalisation.on(device)
        return self._normalisation

    def _split_training_images(self) -> None:
        training = self._keep(self.read("train"))
        self._normalisation = None
        if self.validate_on_test or not self.val_is_drawn:
            check_fills_a_batch(training, self.batch_size, drop_last=self.drop_last)
            if self.validate_on_test:
                warnings.warn(NOTE_TEST_IMAGES, Notice, stacklevel=2)
            validation = self._keep(self.read("test" if self.validate_on_test else "val"))
            self._splits["train"], self._splits["val"] = training, validation
            return
        train, val = draw_validation_images(training, self.val_fraction, self.seed, self.num_classes)
        self._splits["train"], self._splits["val"] = train, val
        check_fills_a_batch(train, self.batch_size, drop_last=self.drop_last)

    def _keep(self, data: LabelledImages) -> LabelledImages:
        check_labels(data, len(self.all_class_names))
        return keep_classes(data, self._labels_kept, len(self.all_class_names))
