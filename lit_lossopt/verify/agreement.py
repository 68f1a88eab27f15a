"""Whether a run that was made again is the run that was recorded."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

import numpy as np
import yaml

from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import History, Run
from lit_lossopt.verify.differences import Difference, differences

# Metrics that tell the time, and those that `lossopt test` adds to a run later.
_CLOCKS, _OF_TESTS = (names.TRAIN_SECONDS, "system/"), (f"{names.TEST}/",)
# Where machine or versions are others: how far the loss of the first step, and of the first ten, may be from the
# recorded one, relative. Later, rounding has grown to what another seed would do.
FIRST_STEP, FIRST_STEPS, COUNT = 1e-3, 0.1, 10
# How far each evaluation may be, in standard deviations of the arm's seeds there, and at least. The same holds of the
# mean loss of each tenth of the run, where the least is relative.
DEVIATIONS, LEAST, LEAST_OF_LOSS, TENTHS = 4.0, 0.02, 0.1, 10
# Fewer seeds tell nothing of their spread, so that more must be allowed.
_FEWEST, _WITHOUT_SPREAD = 3, 5.0
TOLERANCES = (
    f"{FIRST_STEP:g} of the first loss, {FIRST_STEPS:g} of the first {COUNT}; evaluations and mean losses by "
    f"{DEVIATIONS:g} standard deviations of the arm's seeds, or {LEAST:g} and {LEAST_OF_LOSS:g} of the loss"
)


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
    return not name.startswith((*_CLOCKS, *_OF_TESTS))


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
        number = float(text)
    except ValueError:
        return text
    # What is no number, or has no end, is a word here. So is what only Python reads as a number.
    return number if isfinite(number) and "_" not in text else text


def _with_threads(config: str, run: Run) -> Any:
    """Return a config with the number of threads that were taken, also where it leaves that to the machine."""
    try:
        tree = yaml.safe_load(config)
    except yaml.YAMLError:
        return config
    if isinstance(tree, dict) and tree.get("threads") is None and "threads" in run.params:
        tree["threads"] = _value(run.params["threads"])
    return tree


def far_apart(recorded: Run, again: Run, metric: str, others: Sequence[Run]) -> Iterator[Difference]:
    """Yield what differs by more than another machine, or other versions, may cause.

    Args:
        recorded: with all its histories.
        again: likewise.
        metric: the compared one.
        others: the runs of the arm, with the histories of the metric and of the loss.
    """
    then, now = (run.histories.get(names.TRAIN_LOSS) for run in (recorded, again))
    if then is not None and now is not None:
        yield from _first_losses(then, now)
    spread = [run.histories for run in others]
    for name, least in ((names.TRAIN_LOSS, LEAST_OF_LOSS), (metric, LEAST)):
        then_curve, now_curve = _curve(recorded.histories, name), _curve(again.histories, name)
        yield from _far_curve(name, then_curve, now_curve, least, spread)


def _first_losses(then: History, now: History) -> Iterator[Difference]:
    for place, (old, new) in enumerate(zip(then.values[:COUNT].tolist(), now.values[:COUNT].tolist(), strict=False)):
        if not abs(old - new) <= (FIRST_STEPS if place else FIRST_STEP) * max(abs(old), 1e-8):
            yield Difference((names.TRAIN_LOSS, f"point {place + 1}"), old, new)
            return


def _far_curve(
    name: str, then: Curve, now: Curve, least: float, spread: Sequence[Mapping[str, History]]
) -> Iterator[Difference]:
    """Yield the first place at which two curves of a metric are too far apart."""
    if list(then) != list(now):
        yield Difference((name, "places"), len(then), len(now))
        return
    curves = [curve for one in spread if list(curve := _curve(one, name)) == list(then)]
    for place, old in then.items():
        seeds = [curve[place] for curve in curves if isfinite(curve[place])]
        least_here = least * (max(abs(old), 1e-8) if name == names.TRAIN_LOSS else 1.0)
        allowed = _WITHOUT_SPREAD * least_here
        if len(seeds) >= _FEWEST:
            allowed = max(least_here, DEVIATIONS * statistics.stdev(seeds))
        if not (abs(old - now[place]) <= allowed or old == now[place] or (isnan(old) and isnan(now[place]))):
            yield Difference((name, place), old, now[place])
            return


Curve = Mapping[str, float]


def _curve(histories: Mapping[str, History], name: str) -> Curve:
    """Return place → value: each evaluation, or the mean loss of each tenth of the run."""
    history = histories.get(name)
    if history is None or not len(history.values):
        return {}
    if name != names.TRAIN_LOSS:
        return {
            f"step {step}": value for step, value in zip(history.steps.tolist(), history.values.tolist(), strict=True)
        }
    parts = np.array_split(history.values, min(TENTHS, len(history.values)))
    return {f"part {number} of {len(parts)}": float(np.mean(part)) for number, part in enumerate(parts, 1)}
