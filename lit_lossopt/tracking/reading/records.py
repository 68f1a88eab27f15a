"""Runs and their histories as plain immutable records."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

# MLflow stores an infinity as the largest finite number.
_INFINITE = sys.float_info.max


@dataclass(frozen=True, eq=False)
class History:
    """One metric of one run.

    Attributes:
        steps: ``[n]`` int64, rising, each once.
        values: ``[n]`` float64, with NaN and infinities as they were logged.
        milliseconds: ``[n]`` int64, when each was logged, since 1970. They need not rise.
        overridden: points that are not here because a later one of the same step says something else.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    milliseconds: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    overridden: int = 0

    def part(self, which: NDArray[np.bool_] | slice) -> History:
        """Return some of the points, by a mask ``[n]`` or by their places."""
        times = self.milliseconds[which] if len(self.milliseconds) else self.milliseconds
        return replace(self, steps=self.steps[which], values=self.values[which], milliseconds=times)


@dataclass(frozen=True)
class Run:
    """One run, with those histories that were asked for.

    Attributes:
        status: MLflow's: RUNNING, FINISHED, FAILED, KILLED or SCHEDULED.
        metrics: metric → its value at the last step.
        start: milliseconds since 1970.
        end: milliseconds since 1970, or None while the run goes on.
        deleted: whether it was deleted in MLflow (where it can be restored).
        missing_trunk: of a branch, the id of the run whose steps before it the store has no more.
    """

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    experiment_id: str = ""
    start: int = 0
    end: int | None = None
    deleted: bool = False
    histories: Mapping[str, History] = field(default_factory=dict)
    missing_trunk: str = ""


@dataclass(frozen=True)
class Experiment:
    """One of MLflow's experiments."""

    experiment_id: str
    name: str


def history(steps: NDArray[Any], values: NDArray[Any], milliseconds: NDArray[Any]) -> History:
    """Return points in any order as a history with one point a step.

    Of several points of one step the one that was logged last counts. Of those logged in the same millisecond the
    largest counts, as in MLflow's own table of last values, and NaN before any number. The order of logging says
    nothing about the order of steps, because clocks can go back.

    Args:
        steps: ``[n]`` whole numbers.
        values: ``[n]``, infinities as MLflow stores them.
        milliseconds: ``[n]`` whole numbers.
    """
    restored = restore_infinities(values)
    order = np.lexsort((restored, milliseconds, steps))
    steps, restored, milliseconds = steps[order], restored[order], milliseconds[order]
    last = np.append(steps[1:] != steps[:-1], True) if steps.size else np.empty(0, bool)
    counted = restored[last]
    group = np.cumsum(last) - last
    same = (restored == counted[group]) | (np.isnan(restored) & np.isnan(counted[group]))
    return History(
        steps[last].astype(np.int64), counted, milliseconds[last].astype(np.int64), int(np.count_nonzero(~same))
    )


def restore_infinities(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values in which infinities are infinite again.

    MLflow stores the largest finite numbers in their place.
    """
    numbers = np.asarray(values, np.float64)
    return np.where(np.abs(numbers) >= _INFINITE, np.copysign(np.inf, numbers), numbers)
