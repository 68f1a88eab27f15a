"""Runs as a store would give them, from curves whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_lossopt.comparison.comparison import ArmRuns, Comparison
from lit_lossopt.comparison.pipeline import compare_arms
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import History, Run

Floats = NDArray[np.float64]
ACCURACY = names.metric(names.VAL, "accuracy")
EVERY = 50
STEPS = np.arange(0, 1001, EVERY)


def history(values: ArrayLike, steps: ArrayLike = STEPS) -> History:
    """Return a history; shorter values are its beginning."""
    found = np.asarray(values, dtype=np.float64)
    at = np.asarray(steps, dtype=np.int64)[: len(found)]
    return History(at, found, 1_700_000_000_000 + 10 * at)


def rising(tau: float, top: float = 0.7, start: float = 0.1) -> Floats:
    """Return an accuracy that goes from ``start`` to ``top``, with so many steps to 63 % of the way."""
    curve: Floats = top - (top - start) * np.exp(-STEPS / tau)
    return curve


def run(
    accuracy: ArrayLike | None,
    *,
    arm: str = "",
    seed: int | None = 0,
    verdict: str = "completed",
    losses: ArrayLike | None = None,
    probe: ArrayLike | None = None,
    params: Mapping[str, str] | None = None,
    more: Mapping[str, History] | None = None,
    **options: Any,
) -> Run:
    """Return a run with an accuracy at every fifty steps, a loss and a probe loss at every step."""
    histories = dict(more or {})
    if accuracy is not None:
        histories[ACCURACY] = history(accuracy)
        steps = histories[ACCURACY].steps
        histories |= {names.TRAIN_SECONDS: history(steps / 100), names.EXAMPLES: history(steps * 64.0)}
    if losses is not None:
        found = np.asarray(losses, dtype=np.float64)
        histories[names.TRAIN_LOSS] = history(found, np.arange(1, len(found) + 1))
    if probe is not None:
        found = np.asarray(probe, dtype=np.float64)
        histories[names.PROBE_LOSS] = history(found, np.arange(len(found)))
    tags = {names.TAG_VERDICT: verdict} | ({names.TAG_SEED: str(seed)} if seed is not None else {})
    name = options.pop("run_id", f"{arm}/{seed}")
    return Run(name, name, options.pop("status", "FINISHED"), params or {}, tags, {}, histories=histories, **options)


def arm(name: str, runs: Sequence[Run], rate: float = nan, family: str = "") -> ArmRuns:
    """Return an arm."""
    return ArmRuns(name, family or name, {"optimizer": name}, rate, tuple(runs))


def arms_of(curve: Callable[[str, int], Floats], names_: Sequence[str], seeds: int = 8) -> list[ArmRuns]:
    """Return arms whose accuracy is a function of their name and seed."""
    return [arm(name, [run(curve(name, seed), arm=name, seed=seed) for seed in range(seeds)]) for name in names_]


def compared(arms: Sequence[ArmRuns], **options: Any) -> Comparison:
    """Return the comparison of arms by validation accuracy, unless told otherwise."""
    usual = {"title": "digits", "metric": ACCURACY, "higher_is_better": True, "target": None, "by": ("optimizer",)}
    return compare_arms(arms, **{**usual, **options})
