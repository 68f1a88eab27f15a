"""What programs call their training loss and their evaluated loss."""

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
    """Return which metrics are the training loss by their names.

    Those of single steps come before those of epochs.

    >>> training_losses(["train_loss_epoch", "Loss/train", "val_loss", "train_accuracy"])
    ['Loss/train', 'train_loss_epoch']
    >>> training_losses(["train_losses", "minibatch_train_losses"])
    ['minibatch_train_losses', 'train_losses']
    """
    losses = [name for name in known if _LOSS & set(words_of(name)) and set(words_of(name)) <= _LOSS | _TRAINING]
    return sorted(losses, key=lambda name: (_of_epochs(name, losses), _place(name), "epoch" in words_of(name), name))


def evaluation_losses(known: Iterable[str]) -> list[str]:
    """Return which metrics are an evaluated loss by their names.

    They are in the order of the alphabet.

    >>> evaluation_losses(["val_loss", "train_loss", "test/loss"])
    ['test/loss', 'val_loss']
    """
    return sorted(name for name in known if _is_evaluated(set(words_of(name))))


def _of_epochs(name: str, losses: Iterable[str]) -> bool:
    """Return True if a loss is of epochs by its name.

    It is if another is of batches by its name, and this one is not.
    """
    batches = {"batch", "mini", "minibatch"}
    return any(batches & set(words_of(other)) for other in losses) and not batches & set(words_of(name))


def _is_evaluated(words: set[str]) -> bool:
    return bool(words & _LOSS and words & _EVALUATION) and words <= _LOSS | _EVALUATION | _MEANS


def _place(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)
