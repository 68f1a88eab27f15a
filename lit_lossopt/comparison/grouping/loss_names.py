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
    of_batches = {name for name in losses if set(words_of(name)) & {"batch", "mini", "minibatch"}}
    # Where one is of batches by its name, the others are of epochs.
    place = {name: number for number, name in enumerate(_FIRST)}
    return sorted(
        losses, key=lambda name: (name not in of_batches, place.get(name, len(place)), "epoch" in words_of(name), name)
    )


def evaluation_losses(known: Iterable[str]) -> list[str]:
    """Return which metrics are an evaluated loss by their names.

    They are in the order of the alphabet.

    >>> evaluation_losses(["val_loss", "train_loss", "test/loss"])
    ['test/loss', 'val_loss']
    """
    return sorted(
        name
        for name in known
        if (words := set(words_of(name))) & _LOSS and words & _EVALUATION and words <= _LOSS | _EVALUATION | _MEANS
    )
