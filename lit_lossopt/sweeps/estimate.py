"""What a sweep will take, roughly.

Time and disk follow from what earlier trials took, or from sizes that are known.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lit_lossopt.comparison.statistics.look_sizes import FIRST_LOOKS
from lit_lossopt.config.twin import TWIN
from lit_lossopt.config.words import prepare
from lit_lossopt.core import names
from lit_lossopt.diagnostics.request import parse_request
from lit_lossopt.sweeps.plan.arms import Reach, arms, on_grids, searches
from lit_lossopt.sweeps.plan.file import GRID, Plan
from lit_lossopt.sweeps.plan.key import whole_tree
from lit_lossopt.sweeps.plan.trials import REPEAT, repeats, search_trials
from lit_lossopt.sweeps.trial import Trial, with_trunks
from lit_lossopt.tracking.trial_runs import EndedTrial, ended_here

# Of data whose size is known without reading them: training images, pixels a side, channels, and images that MiniCNN
# trains on in a second with one thread of a common processor (docs/benchmarks.md: 37 and 300 steps of 64).
_DATA = {"CIFAR10DataModule": (50_000, 32, 3, 2_400.0), "DigitsDataModule": (1_437, 8, 1, 19_000.0)}
# Seconds before and after training: building, a first evaluation, pictures, delivery.
_AROUND = 2.0
# Seconds in which TensorFlow is imported.
_OF_TENSORFLOW = 8.0
_EVALUATION_SHARE = 0.35
# Bytes of a trial without checkpoints: config, provenance, pictures; and of a step in journal and database.
_BYTES_OF_RUN, _BYTES_OF_STEP = 300_000, 700
_BYTES_OF_PARAMETER = 12
_COPIES = 3


@dataclass(frozen=True)
class Cost:
    """The seconds and bytes of one trial.

    They are NaN where they cannot be told.
    """

    seconds: float
    bytes: float
    checkpoint: float


_UNKNOWN = Cost(math.nan, math.nan, math.nan)


def cost(trial: Trial) -> Cost:
    """Return what a trial takes on one CPU thread.

    It follows from the sizes of data and network.

    What is no number where one is expected is the trial's own affair: nothing can be told then.
    """
    tree = whole_tree(prepare(trial.words[0], list(trial.words[1:])))
    data = tree["data"]["class_path"].rpartition(".")[2]
    arguments, trainer = tree["data"].get("init_args") or {}, tree.get("trainer") or {}
    try:
        found = _cost(data, arguments, trainer, tree["model"]["network"], tree.get("diagnostics", "default"))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return _UNKNOWN
    return replace(found, seconds=found.seconds + _OF_TENSORFLOW) if TWIN in tree else found


def _cost(
    data: str, arguments: Mapping[str, Any], trainer: Mapping[str, Any], network: Mapping[str, Any], diagnostics: Any
) -> Cost:
    if data not in _DATA:
        return _UNKNOWN
    images, side, channels, rate = _DATA[data]
    present = images * len(arguments.get("classes") or range(10)) / 10
    held, batch = _number(arguments.get("val_fraction", 0.1)), _number(arguments.get("batch_size", 64))
    an_epoch = _part(trainer.get("limit_train_batches"), math.ceil(present * (1 - held) / batch))
    steps = _steps(trainer, an_epoch)
    if math.isinf(steps):
        return _UNKNOWN
    evaluations = 1 + steps / _part(trainer.get("val_check_interval"), an_epoch)
    seconds = _AROUND + (steps * batch + evaluations * present * held * _EVALUATION_SHARE) / rate
    weights = _mini_cnn(side, channels) if network["class_path"].endswith(".MiniCNN") else math.nan
    kept = _COPIES * weights * _BYTES_OF_PARAMETER if not network.get("init_args") else math.nan
    return Cost(seconds, _BYTES_OF_RUN + steps * _BYTES_OF_STEP + _snapshots(diagnostics, round(steps), weights), kept)


def _snapshots(diagnostics: Any, steps: int, weights: float) -> float:
    """Return the bytes of a run's snapshots: the first whole, the others in half."""
    moments = parse_request(diagnostics).get("trajectory")
    if moments is None:
        return 0.0
    taken = {step for some in moments for step in some.steps(steps)}
    return weights * (4 + 2 * len(taken))


def _part(wanted: Any, batches: int) -> int:
    """Return the batches of an epoch as the Trainer would take them.

    The limit is a whole number of them, or a share.
    """
    if wanted is None:
        return batches
    share = _number(wanted)
    return min(wanted, batches) if isinstance(wanted, int) else max(1, int(share * batches))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    return value


def _steps(trainer: Mapping[str, Any], an_epoch: int) -> float:
    """Return the steps of a training.

    It is infinity where neither ``max_epochs`` nor ``max_steps`` limits it.
    """
    epochs, most = trainer.get("max_epochs", 5), trainer.get("max_steps")
    # As the Trainer reads them: null and −1 are no limit.
    by_epochs = math.inf if epochs in (None, -1) else _number(epochs) * an_epoch
    if not isinstance(most, int) or most < 0:
        return float(by_epochs)
    return float(min(by_epochs, most) if "max_epochs" in trainer else most)


def lines(plan: Plan, workers: int, *, keep_checkpoints: bool) -> list[str]:
    """Return trials, time and disk in words."""
    search = search_trials(plan)
    again = _repeats(plan, search)
    wider = len(search_trials(plan, Reach(plan.extend, plan.extend))) - len(search) if on_grids(plan) else 0
    longer = len(arms(plan)) * (plan.race.max_seeds - FIRST_LOOKS[0]) if plan.race else 0
    every, ended = with_trunks([*search, *again]), ended_here(plan.experiment)
    trunks = [trial for trial in every if trial.phase == names.TRUNK]
    done, beyond = _done([*search, *trunks], again, ended, longer)
    already = [f"{done + beyond} of them have results already, by the journals in this folder"] if done else []
    needed = {trial.trunk.key for trial in every if trial.trunk}
    kept = len(every) if keep_checkpoints else sum(trial.phase == REPEAT or trial.key in needed for trial in every)
    return [
        f"{len(every)} trials: {', '.join(_counts(plan, search, again, len(trunks)))}{_more(wider, longer)}",
        *already,
        _time(every, ended, len(every) - done, wider + longer - beyond, workers),
        _disk(every, kept),
    ]


def _repeats(plan: Plan, search: Sequence[Trial]) -> tuple[Trial, ...]:
    """Return the repeats that there will be at least.

    Each arm's first point stands for the one that will win. There are as many repeats for any point.
    """
    if plan.protocol == GRID or not searches(plan):
        return ()
    first = {trial.arm: trial.point for trial in reversed(search)}
    return repeats(replace(plan, seeds=plan.seeds[: FIRST_LOOKS[0]]) if plan.race else plan, first)


def _counts(plan: Plan, search: Sequence[Trial], again: Sequence[Trial], trunks: int) -> list[str]:
    counts = [f"{len(search)} {search[0].phase} trials", *([f"{len(again)} repeats"] if again else [])]
    counts += [f"{trunks} from which others begin"] if trunks else []
    tested = len(again) or sum(trial.phase == REPEAT for trial in search)
    return [*counts, f"{tested} tests"] if plan.test and tested else counts


def _more(wider: int, longer: int) -> str:
    """Return how many trials there may be besides."""
    edge = f", and at most {wider} more where a best point lies at the edge of the grid" if wider else ""
    return edge + (f", and at most {longer} more until the race is decided" if longer else "")


def _done(search: Sequence[Trial], again: Sequence[Trial], ended: Sequence[EndedTrial], longer: int) -> tuple[int, int]:
    """Return how many trials have a result, and how many of those that a race may need besides.

    Which points are repeated is not known beforehand.
    """
    searched = {trial.key for trial in search} & {one.key for one in ended}
    arms = {trial.arm for trial in again}
    repeated = len({one.key for one in ended if one.phase == REPEAT and one.arm in arms})
    return len(searched) + min(len(again), repeated), min(longer, max(0, repeated - len(again)))


def _time(every: Sequence[Trial], ended: Sequence[EndedTrial], left: int, most: int, workers: int) -> str:
    known = [trial.seconds for trial in ended if not math.isnan(trial.seconds)]
    if known:
        each, source = statistics.fmean(known), f"the mean of {len(known)} trials of this experiment"
    else:
        each, source = _mean_cost(every).seconds, "a rough guess from sizes, for MiniCNN on a common processor"
    if math.isnan(each):
        return "time: not known, before a trial of this experiment has ended"
    low, high = (in_words(count * each / workers) for count in (left, left + most))
    span = low if low == high else f"{low} to {high}"
    return f"time: about {span} with {workers} at once, at {in_words(each)} for each trial ({source})"


def _mean_cost(every: Sequence[Trial]) -> Cost:
    """Return the mean cost over arms.

    They may differ in length, batch size or data.
    """
    costs = [cost(trial) for trial in {trial.arm: trial for trial in every}.values()]
    parts = ([each.seconds for each in costs], [each.bytes for each in costs], [each.checkpoint for each in costs])
    return Cost(*map(statistics.fmean, parts))


def _disk(every: Sequence[Trial], kept: int) -> str:
    mean = _mean_cost(every)
    if math.isnan(mean.bytes + mean.checkpoint):
        return f"disk: not known; checkpoints of {kept} trials are kept, three of each"
    total = len(every) * mean.bytes + kept * mean.checkpoint
    checkpoints = f"{kept * mean.checkpoint / 1e6:.0f} MB are checkpoints of {kept} trials"
    return f"disk: about {total / 1e6:.0f} MB, of which {checkpoints}"


def _mini_cnn(side: int, channels: int) -> float:
    flat = 64 * (side // 4) ** 2
    return 32 * (9 * channels + 1) + 64 * (9 * 32 + 1) + 128 * (flat + 1) + 10 * 129


def in_words(seconds: float) -> str:
    """Return ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
