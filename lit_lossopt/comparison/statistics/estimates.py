"""An arm in numbers.

They are means and medians of its runs, with intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan, nan

import numpy as np

from lit_lossopt.comparison.comparison import Arm, ArmRuns, Estimate, Oscillation, Trial
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.comparison.statistics.paired_tests import median_interval, t_interval
from lit_lossopt.core.names import RESULTS


def arm_in_numbers(arm: ArmRuns, trials: Sequence[Trial], metric: str) -> Arm:
    """Return the arm of these measured runs.

    Args:
        arm: as its runs were read.
        trials: its runs, measured.
        metric: the compared one.
    """
    score_names = sorted({name for trial in trials for name in trial.scores})
    verdicts = [trial.verdict for trial in trials]
    return Arm(
        name=arm.name,
        family=arm.family,
        settings=arm.settings,
        learning_rate=arm.learning_rate,
        trials=tuple(trials),
        verdicts={verdict: verdicts.count(verdict) for verdict in RESULTS if verdict in verdicts},
        final=mean_of([trial.final for trial in trials], metric),
        best=mean_of([trial.best for trial in trials], metric),
        area=mean_of([trial.area for trial in trials], metric),
        steps_to_target=median_of([trial.steps_to_target for trial in trials]),
        seconds_to_target=median_of([trial.seconds_to_target for trial in trials]),
        examples_to_target=median_of([trial.examples_to_target for trial in trials]),
        reached=sum(isfinite(trial.steps_to_target) for trial in trials),
        ripple=mean_of([trial.ripple for trial in trials]),
        roughness=mean_of([trial.roughness for trial in trials]),
        oscillation=_mean_oscillation([trial.oscillation for trial in trials if trial.oscillation is not None]),
        climb_back=mean_of([trial.climb_back for trial in trials]),
        scores={name: mean_of([trial.scores.get(name, nan) for trial in trials], name) for name in score_names},
    )


def mean_of(values: Sequence[float], metric: str = "") -> Estimate:
    """Return the mean of the known values, with its t interval.

    The interval of an accuracy is cut at 0 and 1, where accuracies end.

    >>> mean_of([0.97, 0.99, float("nan")], "val/accuracy")
    Estimate(value=0.98, low=0.85..., high=1.0, n=2)

    Args:
        values: of the runs. NaN is left aside.
        metric: whose values they are, or an empty text.
    """
    known = [value for value in values if not isnan(value)]
    if not known:
        return Estimate(nan)
    interval = t_interval(known)
    is_share = is_accuracy(metric) and min(known) >= 0 and max(known) <= 1
    low, high = np.clip(interval, 0, 1).tolist() if is_share else interval
    return Estimate(float(np.mean(known)), low, high, len(known))


def median_of(values: Sequence[float]) -> Estimate:
    """Return the median of the known values, with its distribution-free interval.

    >>> median_of([1.0, 2.0, 3.0, 4.0, 5.0, float("inf")])
    Estimate(value=3.5, low=1.0, high=inf, n=6)

    Args:
        values: of the runs. NaN is left aside, and infinity counts.
    """
    known = [value for value in values if not isnan(value)]
    return Estimate(float(np.median(known)), *median_interval(known), len(known)) if known else Estimate(nan)


def _mean_oscillation(oscillations: Sequence[Oscillation]) -> Oscillation | None:
    if not oscillations:
        return None
    table = [
        (oscillation.deviation, oscillation.mean_change, oscillation.best_minus_final, oscillation.drops)
        for oscillation in oscillations
    ]
    return Oscillation(*(float(mean) for mean in np.mean(table, axis=0)))
