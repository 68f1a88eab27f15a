"""Choosing some of a dataset's classes.

They are relabelled in the order in which they are named.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.data.batches import LabelledImages
from lit_lossopt.data.summary import listed


def choose_classes(wanted: Sequence[str | int] | None, available: Sequence[str]) -> list[int]:
    """Return the dataset's labels of the wanted classes, in the order wanted.

    None wants all.

    >>> choose_classes(["dog", "cat"], ["bird", "cat", "dog"])
    [2, 1]

    Raises:
        UserError: a class is unknown or named twice, or there are fewer than two.
    """
    if wanted is None:
        return list(range(len(available)))
    chosen = [str(name) for name in wanted]
    for name in chosen:
        if name not in available:
            raise UserError(
                f"data.classes: no class {name!r}{did_you_mean(name, available)}; there are: {listed(available)}"
            )
    if len(chosen) < 2 or len(set(chosen)) < len(chosen):
        raise UserError(f"data.classes={chosen}: name at least two different classes")
    return [available.index(name) for name in chosen]


def check_labels(data: LabelledImages, classes: int) -> None:
    """Raise UserError unless each image has one class index.

    Args:
        data: what a data module's ``read`` returned, with the dataset's own labels.
        classes: number of classes of the dataset.

    Raises:
        UserError: the labels have a wrong shape, type or range.
    """
    labels = data.labels
    needed = f"read() of this data module must return [{len(data.images)}] int64, 0 … {classes - 1}"
    if labels.shape != (len(data.images),) or labels.dtype != torch.int64:
        raise UserError(f"data: labels {list(labels.shape)} {labels.dtype}, but {needed}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(f"data: labels {int(labels.min())} … {int(labels.max())}, but {needed}")


def keep_classes(data: LabelledImages, kept: Sequence[int], classes: int) -> LabelledImages:
    """Return the images whose label is among ``kept``.

    They are relabelled 0 … K − 1 in the order of ``kept``.

    Args:
        data: images with the dataset's own labels.
        kept: labels to keep.
        classes: number of classes of the dataset.
    """
    if list(kept) == list(range(classes)):
        return data
    relabel = torch.full((classes,), -1, dtype=torch.int64)
    relabel[list(kept)] = torch.arange(len(kept))
    labels = relabel[data.labels]
    chosen = data.take((labels >= 0).nonzero().flatten())
    return LabelledImages(chosen.images, labels[labels >= 0], chosen.sources)
