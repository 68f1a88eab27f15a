"""A small benchmark in the form in which DeepOBS keeps its runs, logged by plain MLflow calls.

DeepOBS writes a JSON file a run, with these names. Values of epochs begin before training, and those of batches are one
a step. (Schneider, Balles and Hennig 2019, "DeepOBS: A Deep Learning Optimizer Benchmark Suite".)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.support.plain_runs import Points, log_run

Floats = NDArray[np.float64]

EXPERIMENT, METRIC, LOSS = "quadratic_deep", "valid_accuracies", "valid_losses"
EPOCHS, STEPS, BATCH = 24, 10, 128
SEEDS = tuple(range(42, 48))
# Optimizer → learning rate, epochs to 63 % of the way, and the accuracy at the end.
OPTIMIZERS: Mapping[str, tuple[float, float, float]] = {
    "AdamOptimizer": (0.001, 3.0, 0.91),
    "MomentumOptimizer": (0.1, 4.0, 0.90),
    "SGD": (0.05, 6.0, 0.86),
}


@dataclass(frozen=True)
class Output:
    """What DeepOBS writes of a run: name → values ``[n]``, of epochs or of batches."""

    optimizer: str
    seed: int
    values: Mapping[str, Floats]


def outputs() -> list[Output]:
    """Return a benchmark of three optimizers and six seeds."""
    return [_output(optimizer, seed) for optimizer in OPTIMIZERS for seed in SEEDS]


def log_output(one: Output, experiment: str = EXPERIMENT) -> str:
    """Log a run, and return its id."""
    rate, _, _ = OPTIMIZERS[one.optimizer]
    settings = {
        "optimizer_name": one.optimizer, "lr": rate, "testproblem": "quadratic_deep", "batch_size": BATCH,
        "num_epochs": EPOCHS, "random_seed": one.seed,
    }  # fmt: skip
    points: Points = {name: list(enumerate(values.tolist())) for name, values in one.values.items()}
    return log_run(experiment, settings, points)


def _output(optimizer: str, seed: int) -> Output:
    random = np.random.default_rng([seed, *optimizer.encode()])
    _, tau, top = OPTIMIZERS[optimizer]
    tau *= float(np.exp(0.05 * random.normal()))
    at, steps = np.arange(EPOCHS + 1), np.arange(EPOCHS * STEPS) / STEPS

    def accuracies(gap: float) -> Floats:
        found: Floats = top - gap - (top - 0.1) * np.exp(-at / tau) + 0.004 * random.normal(size=len(at))
        return found

    def losses(gap: float) -> Floats:
        found: Floats = 0.3 + gap + 2 * np.exp(-at / tau) + 0.01 * random.normal(size=len(at))
        return found

    batches = 0.3 + 2 * np.exp(-steps / tau) + 0.05 * random.normal(size=len(steps))
    values = {
        "train_losses": losses(0.0), "valid_losses": losses(0.05), "test_losses": losses(0.06),
        "train_accuracies": accuracies(0.0), "valid_accuracies": accuracies(0.01), "test_accuracies": accuracies(0.015),
        "minibatch_train_losses": batches,
    }  # fmt: skip
    return Output(optimizer, seed, values)
