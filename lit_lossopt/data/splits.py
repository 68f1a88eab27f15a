"""Holding out a share of the images of each class."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.data.batches import LabelledImages
from lit_lossopt.data.stratified import split_places


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the positions ``[M]`` that stay and those held out.

    Each is sorted. The result is a function of the arguments alone.

    >>> labels = torch.tensor([0] * 8 + [1] * 4)
    >>> stay, held_out = stratified_split(labels, fraction=0.25, seed=0)
    >>> labels[held_out]
    tensor([0, 0, 1])

    Args:
        labels: ``[N]`` int64.
        fraction: share that is held out.
        seed: chooses what is held out.

    Raises:
        ValueError: a class is too small to be in both parts.
    """
    stay, held_out = split_places(labels.numpy(), fraction, seed)
    return torch.from_numpy(stay), torch.from_numpy(held_out)


def draw_validation_images(
    training: LabelledImages, fraction: float, seed: int, num_classes: int
) -> tuple[LabelledImages, LabelledImages]:
    """Return training and validation images, stratified by class.

    Raises:
        UserError: a class is too small to be in both.
    """
    try:
        train, val = stratified_split(training.labels, fraction, derive_seed(seed, "split"))
    except ValueError as error:
        raise UserError(
            f"data.val_fraction={fraction}: {len(training)} training images of {num_classes} classes "
            "cannot be split so that each class has one on both sides; change it, or add images"
        ) from error
    return training.take(train), training.take(val)


def draw_test_images(
    everything: LabelledImages, fraction: float, seed: int, classes: Mapping[int, str]
) -> tuple[LabelledImages, LabelledImages]:
    """Return training and test images of data that came in one piece.

    The draw is independent of the split for validation. Each class is drawn by itself, so that its test images do not
    depend on which other classes are wanted.

    Args:
        everything: images with the dataset's own labels.
        fraction: share of each class that becomes test images, at least one image.
        seed: chooses the test images.
        classes: the labels that are wanted, and their names. Images of other classes are left out.

    Raises:
        UserError: a class is too small to be in both.
    """
    train, test = (everything.take(places) for places in drawn_places(everything.labels, fraction, seed, classes))
    return train, test


def drawn_places(labels: Tensor, fraction: float, seed: int, classes: Mapping[int, str]) -> tuple[Tensor, Tensor]:
    """Return the places ``[M]`` of training and of test images.

    They are places among ``labels [N]``, drawn as ``draw_test_images`` says.

    >>> train, test = drawn_places(torch.tensor([0, 1, 0, 1, 0]), 0.4, 0, {0: "cat"})
    >>> len(train), len(test)
    (2, 1)

    Raises:
        UserError: a class is too small to be in both.
    """
    stay, held_out = [], []
    for label, name in classes.items():
        places = (labels == label).nonzero().flatten()
        count = max(1, round(fraction * len(places)))
        if count >= len(places):
            held = "1 image" if len(places) == 1 else f"{len(places)} images"
            raise UserError(
                f"data.test_fraction={fraction}: class {name!r} has {held}, too few for one on both "
                "sides; change it, add images, or name the other classes with --data.classes=[…]"
            )
        generator = torch.Generator().manual_seed(derive_seed(seed, "test split", label))
        order = torch.randperm(len(places), generator=generator)
        held_out.append(places[order[:count]])
        stay.append(places[order[count:]])
    return torch.cat(stay).sort().values, torch.cat(held_out).sort().values


def check_test_fraction(fraction: float) -> None:
    """Raise UserError if a share leaves nothing on one side.

    >>> check_test_fraction(0.2)

    Raises:
        UserError: the share is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise UserError(f"data.test_fraction={fraction}: must lie between 0 and 1")
