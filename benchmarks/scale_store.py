"""A store as many finished trainings leave it, made in minutes.

One run is trained for real. Every other run is a copy of it with settings, curves and tags of its own. The package's
own bulk writer (``tracking.importing.bulk``) writes it, one transaction a run. A run holds what ``fit`` writes. That is
the loss and the learning rate of every step, the probe loss at pairs of steps, evaluations with their clocks after each
epoch, the default diagnostics, all parameters and all tags.
"""

from __future__ import annotations

import subprocess
import sys
from array import array
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import torch
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray

from lit_lossopt.core import names
from lit_lossopt.tracking.importing.bulk import Content, can_write, write_run
from lit_lossopt.tracking.importing.records import Series
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.probe_schedule import probe_steps

Floats = NDArray[np.float64]
EXPERIMENT = "lit_lossopt"
STORE = "mlflow.db"
BATCH, EPOCH, SEEDS = 64, 125, 5
# Optimizer → its best learning rate, how fast it is there, and the noise of its losses.
OPTIMIZERS = {
    "SGD": (0.3, 5.0, 0.12), "Adam": (1e-3, 9.0, 0.15), "AdamW": (1.5e-3, 8.5, 0.15), "RMSprop": (5e-4, 7.5, 0.4),
    "NAdam": (1e-3, 8.8, 0.2),
}  # fmt: skip
# Criterion → the accuracy that it comes to.
CRITERIA = {"CrossEntropyLoss": 0.965, "BCEWithLogitsLoss": 0.96, "MSELoss": 0.95, "FocalLoss": 0.955}
RATES = 10
ARMS = len(OPTIMIZERS) * len(CRITERIA) * RATES
# Points of a run's default diagnostics.
LOOKS = 12
_BEGAN = 1_760_000_000_000
_MILLISECONDS = 4


@dataclass(frozen=True)
class Setting:
    """What sets one run apart.

    Attributes:
        optimizer: a class of torch.
        criterion: a class of losses.
        rate: the learning rate.
        seed: what pairs it with runs of other arms.
        off: how far the rate is from the optimizer's best one, in decades.
    """

    optimizer: str
    criterion: str
    rate: float
    seed: int
    off: float

    @property
    def arm(self) -> str:
        """The name of the arm, as ``fit`` writes it."""
        return f"{self.optimizer.lower()} lr={self.rate:.4g} {self.criterion}"


def setting(number: int, seeds: int = SEEDS) -> Setting:
    """Return the settings of a run, by its number.

    >>> setting(0).arm, setting(4).seed, setting(5).seed
    ('sgd lr=0.3 CrossEntropyLoss', 4, 0)
    """
    place, seed = divmod(number, seeds)
    optimizer = list(OPTIMIZERS)[place % len(OPTIMIZERS)]
    criterion = list(CRITERIA)[place // len(OPTIMIZERS) % len(CRITERIA)]
    # From the best one outwards: 0, −1, 1, −2, … thirds of a decade.
    third = place // (len(OPTIMIZERS) * len(CRITERIA))
    off = (third + 1) // 2 * (1 if third % 2 == 0 else -1) / 3
    return Setting(optimizer, criterion, float(f"{OPTIMIZERS[optimizer][0] * 10**off:.4g}"), seed, off)


def train_template(folder: Path) -> Run:
    """Train one short run for real in a folder, and return it.

    The store is made with it. The run is deleted then, so that no comparison counts it.
    """
    words = ["fit", "--config=adam", "--config=digits", "--trainer.max_epochs=2", "--threads=1"]
    subprocess.run([sys.executable, "-m", "lit_lossopt", *words], cwd=folder, check=True, capture_output=True)
    assert can_write(folder / STORE)
    template = read_runs(EXPERIMENT)[0]
    MlflowClient().delete_run(template.run_id)
    return template


def fill(store: Path, template: Run, first: int, last: int, steps: int, seeds: int = SEEDS) -> None:
    """Write the runs with these numbers, without the last.

    Args:
        store: the database.
        template: the run that MLflow has made.
        first: number of the first run.
        last: number behind the last run.
        steps: of each run.
        seeds: of each arm.
    """
    for number in range(first, last):
        made = setting(number, seeds)
        write_run(store, _content(template, made, number, steps), like=template.run_id)


def _content(template: Run, made: Setting, number: int, steps: int) -> Content:
    random = np.random.default_rng([number, steps])
    start = _BEGAN + number * 1000
    diverges = made.off >= 1
    last = steps // 4 if diverges else steps
    metrics = _metrics(template, made, random, steps, last, start)
    verdict = names.Verdict.DIVERGED if diverges else names.Verdict.COMPLETED
    name = f"{made.arm} seed={made.seed}"
    tags = {
        **{key: value for key, value in template.tags.items() if key.startswith("lossopt.") or "note" in key},
        names.TAG_ARM: made.arm,
        names.TAG_SEED: str(made.seed),
        names.TAG_VERDICT: verdict,
        names.TAG_TRIAL_KEY: f"{number:064x}",
        names.TAG_CONFIG_SHA256: f"{number:064x}",
        names.TAG_JOURNAL: f"{number:032x}",
        "mlflow.runName": name,
    }
    return Content(name, _params(template, made, steps), metrics, tags, (start, start + last * _MILLISECONDS))


def _params(template: Run, made: Setting, steps: int) -> dict[str, str]:
    kept = {
        key: value
        for key, value in template.params.items()
        if not key.startswith(("optimizer", "criterion")) and not key.startswith("trainer.max")
    }
    build = getattr(torch.optim, made.optimizer)
    defaults = build([torch.nn.Parameter(torch.zeros(1))], lr=made.rate).defaults
    shown = {key: str(list(value) if isinstance(value, tuple) else value) for key, value in defaults.items()}
    return {
        **kept,
        "optimizer": made.optimizer,
        **{f"optimizer.{key}": value for key, value in shown.items() if value != "None"},
        "criterion": made.criterion,
        "criterion.reduction": "mean",
        "seed": str(made.seed),
        "trainer.max_epochs": str(steps // EPOCH),
        "trainer.max_steps": "-1",
    }


def _metrics(
    template: Run, made: Setting, random: np.random.Generator, steps: int, last: int, start: int
) -> dict[str, Series]:
    _, speed, noise = OPTIMIZERS[made.optimizer]
    speed *= 10 ** (-abs(made.off) / 2) * random.uniform(0.9, 1.1)
    at = np.arange(1, last + 1)
    descent = 2.3 * np.exp(-speed * at / steps) + 0.05
    losses = descent * np.exp(noise * random.standard_normal(last))
    if last < steps:
        losses[last // 2 :] *= np.exp(np.linspace(0, 12, last - last // 2))
        losses[-1] = inf
    probed = np.array([step for step in probe_steps(made.seed, steps, BATCH, 256) if step <= last])
    probe = np.interp(probed, at, descent) * (1 + noise / 10 * random.standard_normal(len(probed)))
    found = {
        names.TRAIN_LOSS: _series(at, losses, start),
        "train/lr": _series(at, np.full(last, made.rate), start),
        names.PROBE_LOSS: _series(probed, probe, start),
    }
    found |= _evaluations(made, random, speed, steps, last, start)
    when = np.unique(np.linspace(1, last, LOOKS).astype(np.int64))
    for name in template.metrics:
        if name.startswith(("flow/", "step/")):
            size = abs(template.metrics[name]) + 1e-3
            found[name] = _series(when, size * np.exp(0.2 * random.standard_normal(len(when))), start)
    return found


def _evaluations(
    made: Setting, random: np.random.Generator, speed: float, steps: int, last: int, start: int
) -> dict[str, Series]:
    at = np.arange(0, last + 1, EPOCH)
    top = CRITERIA[made.criterion] - 0.06 * made.off**2
    wobble = 0.004 * random.standard_normal(len(at))
    accuracy = np.clip(0.1 + (top - 0.1) * (1 - np.exp(-speed * at / steps)) + wobble, 0, 1)
    nll = -np.log(np.clip(accuracy, 0.05, 0.999))
    values: dict[str, Floats] = {
        "val/accuracy": accuracy,
        "val/loss": 1.1 * nll,
        names.TRAIN_SECONDS: at * _MILLISECONDS / 1000 * random.uniform(0.97, 1.03),
        names.EXAMPLES: np.asarray(at * BATCH, np.float64),
        names.EPOCHS: at / EPOCH,
        "best/val_accuracy": np.maximum.accumulate(accuracy),
    }
    if made.criterion != "MSELoss":
        values |= {"val/nll": nll, "val/brier": 1 - accuracy, "val/ece": 0.1 * (1 - accuracy)}
    return {name: _series(at, found, start) for name, found in values.items()}


def _series(at: NDArray[np.int64], values: Floats, start: int) -> Series:
    times = start + at * _MILLISECONDS
    return Series(array("q", at.tolist()), array("d", values.tolist()), array("q", times.tolist()))
