"""What a sweep will take, roughly: time and disk, from what earlier trials took or from sizes that are known."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lit_lossopt.command_line import prepare
from lit_lossopt.sweep.key import whole_tree
from lit_lossopt.sweep.plan import Reach, on_grids, repeats, search_trials
from lit_lossopt.sweep.plan_file import GRID, Plan
from lit_lossopt.sweep.trial import Trial
from lit_lossopt.tracking.trial_runs import seconds_of_ended

# Of data whose size is known without reading them: training images, pixels a side, channels, and images that MiniCNN
# trains on in a second with one thread of a common processor (docs/benchmarks.md: 37 and 300 steps of 64).
_DATA = {"CIFAR10DataModule": (50_000, 32, 3, 2_400.0), "DigitsDataModule": (1_437, 8, 1, 19_000.0)}
# Seconds before and after training: building, a first evaluation, pictures, delivery.
_AROUND = 2.0
_EVALUATION_SHARE = 0.35
# Bytes of a trial without checkpoints: config, provenance, pictures; and of a step in journal and database.
_BYTES_OF_RUN, _BYTES_OF_STEP = 300_000, 700
_BYTES_OF_PARAMETER = 12
_COPIES = 3


@dataclass(frozen=True)
class Cost:
    """Of one trial: seconds and bytes; NaN where they cannot be told."""

    seconds: float
    bytes: float
    checkpoint: float


def cost(trial: Trial) -> Cost:
    """Return what a trial takes by the sizes of data and network, on one CPU thread."""
    tree = whole_tree(prepare("fit", list(trial.words[1:])))
    data = tree["data"]["class_path"].rpartition(".")[2]
    arguments, trainer = tree["data"].get("init_args") or {}, tree.get("trainer") or {}
    if data not in _DATA:
        return Cost(math.nan, math.nan, math.nan)
    images, side, channels, rate = _DATA[data]
    present = images * len(arguments.get("classes") or range(10)) / 10
    held = arguments.get("val_fraction", 0.1)
    training, batch = present * (1 - held), arguments.get("batch_size", 64)
    limit = trainer.get("limit_train_batches")
    an_epoch = math.ceil(training / batch) if not isinstance(limit, int) else min(limit, math.ceil(training / batch))
    steps = _steps(trainer, an_epoch)
    if math.isinf(steps):
        return Cost(math.nan, math.nan, math.nan)
    every = trainer.get("val_check_interval") or an_epoch
    evaluations = 1 + steps / (every if isinstance(every, int) else every * an_epoch)
    seconds = _AROUND + (steps * batch + evaluations * present * held * _EVALUATION_SHARE) / rate
    network = tree["model"]["network"]
    weights = _mini_cnn(side, channels) if network["class_path"].endswith(".MiniCNN") else math.nan
    kept = _COPIES * weights * _BYTES_OF_PARAMETER if not network.get("init_args") else math.nan
    return Cost(seconds, _BYTES_OF_RUN + steps * _BYTES_OF_STEP, kept)


def _steps(trainer: Mapping[str, Any], an_epoch: int) -> float:
    """Return the steps of a training; infinity where neither ``max_epochs`` nor ``max_steps`` limits it."""
    epochs, most = trainer.get("max_epochs", 5), trainer.get("max_steps")
    # As the Trainer reads them: null and −1 are no limit.
    by_epochs = math.inf if epochs in (None, -1) else epochs * an_epoch
    if not isinstance(most, int) or most < 0:
        return float(by_epochs)
    return float(min(by_epochs, most) if "max_epochs" in trainer else most)


def lines(plan: Plan, workers: int, *, keep_checkpoints: bool) -> list[str]:
    """Return how many trials there are, how long they take and what disk, in words."""
    search = search_trials(plan)
    again = _some_repeats(plan, search)
    most = len(search_trials(plan, Reach(plan.extend, plan.extend))) - len(search) if on_grids(plan) else 0
    counts = [f"{len(search)} {search[0].phase} trials", *([f"{len(again)} repeats"] if again else [])]
    if plan.test and again:
        counts.append(f"{len(again)} tests")
    more = f", and at most {most} more where a best one lies at the edge of the grid" if most else ""
    every = [*search, *again]
    return [
        f"{len(every)} trials: {', '.join(counts)}{more}",
        _time(plan, every, most, workers),
        _disk(every, len(every) if keep_checkpoints else len(again)),
    ]


def _time(plan: Plan, every: Sequence[Trial], most: int, workers: int) -> str:
    known = seconds_of_ended(plan.experiment)
    if known:
        each, source = statistics.fmean(known), f"the mean of {len(known)} trials of this experiment"
    else:
        each, source = cost(every[0]).seconds, "a rough guess from sizes, for MiniCNN on a common processor"
    if math.isnan(each):
        return "time: not known, before a trial of this experiment has ended"
    low, high = (in_words(count * each / workers) for count in (len(every), len(every) + most))
    span = low if low == high else f"{low} to {high}"
    return f"time: about {span} with {workers} at once, by {in_words(each)} a trial ({source})"


def _disk(every: Sequence[Trial], kept: int) -> str:
    one = cost(every[0])
    if math.isnan(one.bytes + one.checkpoint):
        return f"disk: not known; checkpoints of {kept} trials are kept, three of each"
    total = len(every) * one.bytes + kept * one.checkpoint
    return f"disk: about {total / 1e6:.0f} MB, {kept * one.checkpoint / 1e6:.0f} of them checkpoints of {kept} trials"


def _some_repeats(plan: Plan, search: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the repeats as they would be if each arm's first point won: there are as many for any."""
    if plan.protocol == GRID:
        return ()
    first = {trial.arm: trial.point for trial in reversed(search)}
    return repeats(plan, first)


def _mini_cnn(side: int, channels: int) -> float:
    flat = 64 * (side // 4) ** 2
    return 32 * (9 * channels + 1) + 64 * (9 * 32 + 1) + 128 * (flat + 1) + 10 * 129


def in_words(seconds: float) -> str:
    """Return ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
