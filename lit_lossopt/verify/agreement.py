"""Whether a run that was made again is the run that was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

import numpy as np
import yaml

from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import History, Run
from lit_lossopt.verify.differences import Difference, differences

# Metrics that tell the time, and those that other commands add to a run later.
_CLOCKS, _OTHERS = (names.TRAIN_SECONDS, "system/"), (f"{names.TEST}/",)
# Where machine or versions are others: how far the loss of the first step, and of the first ten, may be from the
# recorded one, relative.
FIRST_STEP, FIRST_STEPS, COUNT = 1e-3, 0.1, 10
# And how far the last value of the compared metric, in standard deviations of the arm's seeds, and at least.
DEVIATIONS, LEAST = 4.0, 0.02


@dataclass(frozen=True)
class Agreement:
    """How a run that was made again compares with the recorded one.

    Attributes:
        values: how many values were compared bit by bit.
        metrics: of how many metrics.
        differences: settings that differ, and then the first value of each metric that does.
    """

    values: int
    metrics: int
    differences: tuple[Difference, ...]


def agreement(recorded: Run, again: Run, config: str, config_again: str) -> Agreement:
    """Compare a run with its repetition, bit by bit.

    Args:
        recorded: with all its histories.
        again: likewise.
        config: the text of the recorded run's resolved config.
        config_again: that of the repetition.
    """
    known = (name for name in {*recorded.histories, *again.histories} if _counts(name))
    # What a reader looks at comes first.
    compared = sorted(known, key=lambda name: (name != names.TRAIN_LOSS, not name.startswith(f"{names.VAL}/"), name))
    empty = History(np.empty(0, np.int64), np.empty(0))
    pairs = [(name, recorded.histories.get(name, empty), again.histories.get(name, empty)) for name in compared]
    apart = [found for name, then, now in pairs if (found := _first_difference(name, then, now))]
    return Agreement(
        sum(len(then.values) for _, then, _ in pairs),
        len(pairs),
        (*_settings(recorded, again, config, config_again), *apart),
    )


def _counts(name: str) -> bool:
    return not name.startswith((*_CLOCKS, *_OTHERS))


def _first_difference(name: str, then: History, now: History) -> Difference | None:
    """Return the first point of a metric that differs, if any does."""
    if np.array_equal(then.steps, now.steps) and np.array_equal(_bits(then), _bits(now)):
        return None
    ours, theirs = (dict(zip(one.steps.tolist(), one.values.tolist(), strict=True)) for one in (then, now))
    for step in sorted({*ours, *theirs}):
        old, new = ours.get(step), theirs.get(step)
        if old is None or new is None or _as_bits(old) != _as_bits(new):
            return Difference((name, f"step {step}"), old, new)
    return None


def _bits(history: History) -> np.ndarray:
    return np.where(np.isnan(history.values), np.nan, history.values).view(np.int64)


def _as_bits(value: float) -> bytes:
    return np.float64(np.nan if isnan(value) else value).tobytes()


def _settings(recorded: Run, again: Run, config: str, config_again: str) -> Iterator[Difference]:
    then, now = ({name: _value(text) for name, text in run.params.items()} for run in (recorded, again))
    yield from differences(dict(sorted(then.items())), now)
    verdicts = [run.tags.get(names.TAG_VERDICT) for run in (recorded, again)]
    yield from differences(verdicts[0], verdicts[1], place=("verdict",))
    if not config:
        # It is gone. What it did stands in parameters and values.
        return
    trees = (_with_threads(config, recorded), _with_threads(config_again, again))
    yield from differences(trees[0], trees[1], place=(names.CONFIG_ARTIFACT,))


def _value(text: str) -> float | str:
    """Return a parameter as a number, if it is one. 8 and 8.0 train alike."""
    try:
        return float(text)
    except ValueError:
        return text


def _with_threads(config: str, run: Run) -> Any:
    """Return a config with the number of threads that were taken, also where it leaves that to the machine."""
    try:
        tree = yaml.safe_load(config)
    except yaml.YAMLError:
        return config
    if isinstance(tree, dict) and tree.get("threads") is None and "threads" in run.params:
        tree["threads"] = _value(run.params["threads"])
    return tree


def far_apart(recorded: Run, again: Run, metric: str, spread: float) -> Iterator[Difference]:
    """Yield what differs by more than another machine, or other versions, may cause.

    Args:
        recorded: with all its histories.
        again: likewise.
        metric: the compared one.
        spread: the standard deviation of its final value over the seeds of the arm. NaN if it is not known.
    """
    then, now = _values(recorded.histories, names.TRAIN_LOSS), _values(again.histories, names.TRAIN_LOSS)
    for place, (old, new) in enumerate(zip(then[:COUNT], now[:COUNT], strict=False)):
        if abs(old - new) > (FIRST_STEPS if place else FIRST_STEP) * max(abs(old), 1e-8):
            yield Difference((names.TRAIN_LOSS, f"point {place + 1}"), old, new)
            break
    ends = [_values(run.histories, metric)[-1:] for run in (recorded, again)]
    allowed = max(LEAST, DEVIATIONS * spread) if isfinite(spread) else LEAST
    if any(len(end) != 1 for end in ends) or abs(ends[0][0] - ends[1][0]) > allowed:
        yield Difference((metric, "last value"), *(float(end[0]) if len(end) else None for end in ends))


def _values(histories: Mapping[str, History], name: str) -> Sequence[float]:
    found = histories.get(name)
    return found.values.tolist() if found else []
