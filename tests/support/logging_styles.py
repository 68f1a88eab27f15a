"""The same training, logged as different programs log it: by step, by epoch, with and without the epoch beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.core import names

Floats = NDArray[np.float64]
Points = dict[str, list[tuple[int, float]]]

EPOCHS, PER_EPOCH, BATCH = 40, 50, 32
ACCURACY = "val/accuracy"


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        accuracy: before training and after each epoch ``[epochs + 1]``.
        losses: of each step ``[epochs · per_epoch]``.
        per_epoch: steps of an epoch.
        batch: examples of a step.
    """

    accuracy: Floats
    losses: Floats
    per_epoch: int = PER_EPOCH
    batch: int = BATCH

    @property
    def epochs(self) -> int:
        return len(self.accuracy) - 1


def training(
    seed: int, tau: float, *, epochs: int = EPOCHS, per_epoch: int = PER_EPOCH, batch: int = BATCH
) -> Training:
    """Return a training whose accuracy goes from 0.1 to 0.9, 63 % of the way in about ``tau`` epochs."""
    random = np.random.default_rng(seed)
    tau *= float(np.exp(0.03 * random.normal()))
    at = np.arange(epochs + 1)
    accuracy = 0.9 - 0.8 * np.exp(-at / tau) + 0.0005 * random.normal(size=epochs + 1)
    steps = np.arange(epochs * per_epoch) / per_epoch
    return Training(accuracy, 0.3 + 2 * np.exp(-steps / tau) + 0.05 * random.normal(size=len(steps)), per_epoch, batch)


def by_step(one: Training) -> tuple[dict[str, Any], Points]:
    """Log evaluations at their step, and nothing that tells of epochs."""
    at = [one.per_epoch * epoch for epoch in range(one.epochs + 1)]
    return {}, {ACCURACY: _points(at, one.accuracy), names.TRAIN_LOSS: _points(range(1, 10**9), one.losses)}


def by_epoch(one: Training) -> tuple[dict[str, Any], Points]:
    """Log evaluations at their epoch, and nothing that tells so."""
    return {}, {ACCURACY: _points(range(one.epochs + 1), one.accuracy)}


def lightning(one: Training) -> tuple[dict[str, Any], Points]:
    """Log as Lightning does: steps from 0, the epoch that goes on beside each value, no evaluation before training."""
    ends = [one.per_epoch * epoch - 1 for epoch in range(1, one.epochs + 1)]
    logged = sorted({*ends, *range(9, len(one.losses), 10)})
    return {}, {
        ACCURACY: _points(ends, one.accuracy[1:]),
        "train_loss": [(step, float(one.losses[step])) for step in logged],
        "epoch": [(step, float(step // one.per_epoch)) for step in logged],
    }


def keras(one: Training) -> tuple[dict[str, Any], Points]:
    """Log as Keras does: everything at epochs from 0, the first evaluation after an epoch."""
    means = one.losses.reshape(one.epochs, one.per_epoch).mean(1)
    return {"epochs": one.epochs}, {
        ACCURACY: _points(range(one.epochs), one.accuracy[1:]),
        "loss": _points(range(one.epochs), means),
    }


def hugging_face(one: Training) -> tuple[dict[str, Any], Points]:
    """Log as Hugging Face's Trainer does: at the global step, with the epoch as a fraction, rounded, beside it."""
    ends = [one.per_epoch * epoch for epoch in range(1, one.epochs + 1)]
    logged = sorted({*ends, *range(20, len(one.losses) + 1, 20)})
    return {"num_train_epochs": one.epochs}, {
        ACCURACY: _points(ends, one.accuracy[1:]),
        "loss": [(step, float(one.losses[step - 1])) for step in logged],
        "epoch": [(step, round(step / one.per_epoch, 2)) for step in logged],
    }


def deep_obs(one: Training) -> tuple[dict[str, Any], Points]:
    """Log as DeepOBS does: the loss of batches by step, evaluations by epoch, the first before training."""
    return {}, {
        ACCURACY: _points(range(one.epochs + 1), one.accuracy),
        "train_loss": _points(range(len(one.losses)), one.losses),
    }


def own_loop(one: Training) -> tuple[dict[str, Any], Points]:
    """Log as a loop of one's own may: evaluations after a step, losses and the epoch before it."""
    at = [one.per_epoch * epoch for epoch in range(1, one.epochs + 1)]
    steps = range(len(one.losses))
    return {}, {
        ACCURACY: _points(at, one.accuracy[1:]),
        "loss": _points(steps, one.losses),
        "epoch": [(step, float(step // one.per_epoch)) for step in steps],
    }


def every_fifth_epoch(one: Training) -> tuple[dict[str, Any], Points]:
    """Log evaluations at every fifth epoch, the loss of batches and the epoch by step."""
    params, points = deep_obs(one)
    steps = range(len(one.losses))
    points[ACCURACY] = points[ACCURACY][::5]
    return params, {**points, "epoch": [(step, float(step // one.per_epoch)) for step in steps]}


def ours(one: Training) -> tuple[dict[str, Any], Points]:
    """Log as this package does."""
    at = [one.per_epoch * epoch for epoch in range(one.epochs + 1)]
    return {}, {
        ACCURACY: _points(at, one.accuracy),
        names.TRAIN_LOSS: _points(range(1, 10**9), one.losses),
        names.EPOCHS: _points(at, np.arange(one.epochs + 1.0)),
        names.EXAMPLES: _points(at, one.batch * np.array(at, dtype=np.float64)),
    }


Style = Callable[[Training], tuple[dict[str, Any], Points]]
STYLES: dict[str, Style] = {
    "by step": by_step, "by epoch": by_epoch, "lightning": lightning, "keras": keras, "hugging face": hugging_face,
    "deep obs": deep_obs, "own loop": own_loop, "ours": ours,
}  # fmt: skip


def _points(steps: Any, values: Floats) -> list[tuple[int, float]]:
    return [(int(step), float(value)) for step, value in zip(steps, values, strict=False)]
