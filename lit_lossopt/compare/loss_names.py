"""What programs call the loss that they train with and the loss that they evaluate."""

from __future__ import annotations

from collections.abc import Iterable

from lit_lossopt import names
from lit_lossopt.compare.name_words import words_of

_FIRST = (names.TRAIN_LOSS, "train_loss", "training_loss", "train_loss_step", "loss")
_TRAINING = {"batch", "epoch", "iter", "iteration", "step", "train", "training"}
_EVALUATION = {"dev", "eval", "evaluation", "test", "val", "valid", "validation"}
_MEANS = {"average", "avg", "epoch", "mean", "step", "total"}


def training_losses(known: Iterable[str]) -> list[str]:
    """Return which metrics are the training loss by their names, those of single steps before those of epochs.

    >>> training_losses(["train_loss_epoch", "Loss/train", "val_loss", "train_accuracy"])
    ['Loss/train', 'train_loss_epoch']
    """
    found = [name for name in known if "loss" in words_of(name) and set(words_of(name)) <= {"loss", *_TRAINING}]
    return sorted(found, key=lambda name: (_place(name), "epoch" in words_of(name), name))


def evaluation_losses(known: Iterable[str]) -> list[str]:
    """Return which metrics are an evaluated loss by their names, in the order of the alphabet."""
    return sorted(name for name in known if _is_evaluated(set(words_of(name))))


def _is_evaluated(words: set[str]) -> bool:
    return "loss" in words and bool(words & _EVALUATION) and words <= {"loss", *_EVALUATION, *_MEANS}


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)
