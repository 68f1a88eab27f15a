"""The value of the metric that counts as reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.measures.convergence import near_best
from lit_lossopt.comparison.measures.trial import curve_of, final_of


def start_of(arms: Sequence[ArmRuns], metric: str) -> float:
    """Return the median of the first evaluations of all runs."""
    curves = [curve_of(run, metric) for arm in arms for run in arm.runs]
    return float(np.median([curve.values[0] for curve in curves if len(curve.values)]))


def first_runs(arms: Sequence[ArmRuns], count: int = 3) -> list[ArmRuns]:
    """Return arms with the runs that began first."""
    ordered = [
        replace(arm, runs=tuple(sorted(arm.runs, key=lambda run: (run.start, run.run_id))[:count])) for arm in arms
    ]
    return [arm for arm in ordered if arm.runs]


def choose_target(
    arms: Sequence[ArmRuns], metric: str, asked: float | None, start: float, *, higher_is_better: bool
) -> tuple[float, str]:
    """Return the target, and how it was chosen in words.

    Args:
        arms: with runs whose histories are read.
        metric: the compared one.
        asked: the target that a person typed. None takes what is near the best arm's median final value.
        start: the value before training.
        higher_is_better: of the metric.
    """
    if asked is not None:
        return asked, "as asked for"
    sign = 1.0 if higher_is_better else -1.0
    finals = {arm.name: [final_of(run, metric) for run in arm.runs] for arm in arms}
    medians = {name: float(np.nanmedian(values)) for name, values in finals.items() if not np.isnan(values).all()}
    # Sorted, so that of equally good arms the order of the runs does not decide.
    best = max(sorted(medians), key=lambda name: sign * medians[name])
    target = near_best(medians[best], start, higher_is_better=higher_is_better)
    share = "95 %" if higher_is_better and medians[best] > 0 else "95 % of the way from the first evaluation to that"
    return target, f"{share} of the best median final value, which {best} has"
