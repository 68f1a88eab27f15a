"""Holding out a part of some images so that every class has its share in both parts."""

from __future__ import annotations

import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from lit_lossopt.data.batches import LabelledImages
from lit_lossopt.errors import UserError
from lit_lossopt.seeds import derive_seed


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the positions ``[M]`` that stay and those held out, each sorted: a function of its arguments alone.

    Args:
        labels: ``[N]`` int64.
        fraction: share held out.
        seed: chooses which.

    Raises:
        ValueError: a class is too small to be in both parts.
    """
    stay, held_out = train_test_split(
        torch.arange(len(labels)).numpy(), test_size=fraction, stratify=labels.numpy(), random_state=seed
    )
    return torch.from_numpy(stay).sort().values, torch.from_numpy(held_out).sort().values


def draw_test_images(everything: LabelledImages, fraction: float, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """Return training and test images of data that came in one piece; independent of the split for validation.

    Raises:
        UserError: a class is too small to be in both.
    """
    try:
        train, test = stratified_split(everything.labels, fraction, derive_seed(seed, "test split"))
    except ValueError as error:
        classes = len(set(everything.labels.tolist()))
        raise UserError(
            f"data.test_fraction={fraction}: {len(everything)} images of {classes} classes "
            "cannot be split so that each class has one on both sides; change it, or add images"
        ) from error
    return everything.take(train), everything.take(test)


def check_test_fraction(fraction: float) -> None:
    """Refuse a share that leaves nothing on one side.

    Raises:
        UserError: it is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise UserError(f"data.test_fraction={fraction}: must lie between 0 and 1")
