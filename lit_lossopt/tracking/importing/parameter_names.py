"""Names of columns that say what a run is, and are no metrics."""

from __future__ import annotations

import re

_WORDS = {
    "algorithm", "arch", "architecture", "arm", "backbone", "batch_size", "criterion", "dataset", "dropout", "fold",
    "learning_rate", "loss_fn", "loss_function", "lr", "method", "model", "momentum", "network", "opt", "optim",
    "optimizer", "random_seed", "random_state", "replicate", "repetition", "run_id", "run_name", "scheduler", "seed",
    "trial", "weight_decay",
}  # fmt: skip


def is_parameter(name: str) -> bool:
    """Return True if a column is by its name a setting.

    >>> [is_parameter(name) for name in ("Random Seed", "optimizer", "loss", "seed_loss")]
    [True, True, False, False]
    """
    return "_".join(re.findall(r"[a-z0-9]+", name.lower())) in _WORDS
