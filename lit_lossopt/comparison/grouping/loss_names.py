"""What programs call their losses.

There is the loss of training, and the loss of evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable

from lit_lossopt.comparison.grouping.name_words import words_of
from lit_lossopt.core import names

_FIRST = (names.TRAIN_LOSS, "train_loss", "training_loss", "train_loss_step", "loss")
_LOSS = {"loss", "losses"}
_TRAINING = {"batch", "epoch", "iter", "iteration", "mini", "minibatch", "step", "train", "training"}
_EVALUATION = {"dev", "eval", "evaluation", "test", "val", "valid", "validation"}
_MEANS = {"average", "avg", "epoch", "mean", "step", "total"}


def training_losses(known: Iterable[str]) -> list[str]:
    """Return the metrics that are the training loss by name.

    Losses of single steps come before losses of epochs.

    >>> training_losses(["train_loss_epoch", "Loss/train", "val_loss", "train_accuracy"])
    ['Loss/train', 'train_loss_epoch']
    >>> training_losses(["train_losses", "minibatch_train_losses"])
    ['minibatch_train_losses', 'train_losses']
    """
    found = [name for name in known if _LOSS & set(words_of(name)) and set(words_of(name)) <= _LOSS | _TRAINING]
    return sorted(found, key=lambda name: (_of_epochs(name, found), _place(name), "epoch" in words_of(name), name))


def evaluation_losses(known: Iterable[str]) -> list[str]:
    """Return the metrics that are an evaluated loss by name.

    They are in alphabetical order.
    """
    return sorted(name for name in known if _is_evaluated(set(words_of(name))))


def _of_epochs(name: str, found: Iterable[str]) -> bool:
    """Return True if a loss is one of epochs.

    It then stands beside a loss that is by its name one of batches.
    """
    batches = {"batch", "mini", "minibatch"}
    return any(batches & set(words_of(other)) for other in found) and not batches & set(words_of(name))


def _is_evaluated(words: set[str]) -> bool:
    return bool(words & _LOSS and words & _EVALUATION) and words <= _LOSS | _EVALUATION | _MEANS


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)
