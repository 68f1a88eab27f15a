"""How much depends on the learning rate.

It also tells how much depends on how many of them were tried. Final values of runs come in, curves of each family of
arms go out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import ArmRuns, BudgetCurve, Sensitivity
from lit_lossopt.comparison.measures.convergence import near_best
from lit_lossopt.comparison.measures.trial import final_of, verdict_of
from lit_lossopt.core.names import RESULTS, Verdict
from lit_lossopt.tracking.reading.runs import Run

Floats = NDArray[np.float64]


def sensitivity(
    family: str, points: Sequence[tuple[float, float, str]], *, start: float = 0.0, higher_is_better: bool = True
) -> Sensitivity | None:
    """Return how the final value depends on the learning rate.

    On the axis of log10 rate, the mean final value is interpolated linearly between the tried rates. The window is the
    contiguous interval around the best rate in which it stays at 95 % of the best (``near_best``). None with fewer than
    two rates.

    >>> points = [(0.001, 0.90, "completed"), (0.01, 0.96, "completed"), (0.1, 0.10, "diverged")]
    >>> curve = sensitivity("Adam", points)
    >>> curve.best_rate, curve.open_low, curve.diverging, round(curve.decades, 2)
    (0.01, False, 0.1, 0.86)

    Args:
        family: the arms' common name.
        points: (rate, final value, verdict) of each run. Ones without a rate or a value are left aside.
        start: the value before training, where lower is better.
        higher_is_better: of the metric.
    """
    known = sorted(point for point in points if point[0] > 0 and math.isfinite(point[0]) and math.isfinite(point[1]))
    rates = np.array(sorted({rate for rate, _, _ in known}))
    if len(rates) < 2:
        return None
    finals = np.array([np.mean([final for rate, final, _ in known if rate == tried]) for tried in rates])
    sign = 1.0 if higher_is_better else -1.0
    best = int(np.argmax(sign * finals))
    least = near_best(float(finals[best]), start, higher_is_better=higher_is_better)
    logs, excess = np.log10(rates), sign * (finals - least)
    low, high = _edge(logs, excess, best, -1), _edge(logs, excess, best, 1)
    above = [rate for rate, _, verdict in known if verdict == Verdict.DIVERGED and rate > rates[best]]
    diverging = min(above, default=math.nan)
    return Sensitivity(
        family=family,
        rates=rates,
        finals=finals,
        points=tuple(known),
        best_rate=float(rates[best]),
        window=(float(10**low), float(10**high)),
        decades=high - low,
        open_low=bool(low <= logs[0]),
        open_high=bool(high >= logs[-1]),
        diverging=diverging,
        decades_to_divergence=math.log10(diverging / rates[best]),
    )


def budget_curve(finals: Sequence[float], *, higher_is_better: bool = True) -> Floats:
    """Return the expected best of k tuning trials ``[n]``.

    It is for k = 1 … n. The k trials are drawn without replacement from the n that were made. E_k = Σ_i x_(i) C(i − 1,
    k − 1) / C(n, k), where x_(i) is the i-th from the worst. Values that are not finite do not count.

    >>> budget_curve([0.8, 0.9, 1.0]).round(3)
    array([0.9  , 0.967, 1.   ])

    Source: Dodge et al. 2019, "Show Your Work". Their form with replacement is biased low. This one is the mean over
    all subsets of size k.
    """
    sign = 1.0 if higher_is_better else -1.0
    ordered = sorted(sign * value for value in finals if math.isfinite(value))
    n = len(ordered)
    expected = [
        math.fsum(value * (math.comb(i, k - 1) / math.comb(n, k)) for i, value in enumerate(ordered))
        for k in range(1, n + 1)
    ]
    return sign * np.array(expected, dtype=np.float64)


def sensitivities(
    arms: Sequence[ArmRuns], metric: str, *, start: float, higher_is_better: bool
) -> tuple[Sensitivity, ...]:
    """Return the sensitivity of each family with several learning rates.

    Args:
        arms: those that are compared, and those that were tuned.
        metric: the compared one.
        start: the value before training.
        higher_is_better: of the metric.
    """
    curves = []
    for family, results in _results_by_family(arms).items():
        points = [(arm.learning_rate, final_of(run, metric), verdict_of(run)) for arm, run in results]
        curves.append(sensitivity(family, points, start=start, higher_is_better=higher_is_better))
    return tuple(curve for curve in curves if curve is not None)


def budget_curves(tuning: Sequence[ArmRuns], metric: str, *, higher_is_better: bool) -> tuple[BudgetCurve, ...]:
    """Return the budget curve of each family with tuning trials."""
    curves = []
    for family, results in _results_by_family(tuning).items():
        finals = [final_of(run, metric) for _, run in results]
        curves.append(BudgetCurve(family, budget_curve(finals, higher_is_better=higher_is_better)))
    return tuple(curve for curve in curves if len(curve.expected))


def _results_by_family(arms: Sequence[ArmRuns]) -> dict[str, list[tuple[ArmRuns, Run]]]:
    """Return the results of each family, every run once."""
    families: dict[str, dict[str, tuple[ArmRuns, Run]]] = {}
    for arm in arms:
        for run in arm.runs:
            if verdict_of(run) in RESULTS:
                # A run may be compared and a tuning trial at once.
                families.setdefault(arm.family, {})[run.run_id] = arm, run
    return {family: list(results.values()) for family, results in families.items()}


def _edge(logs: Floats, excess: Floats, best: int, direction: int) -> float:
    """Return where the interpolated value stops being near the best.

    Going from the best rate in one direction, it is a log10 rate. Without such a place it is the last tried rate.
    """
    j = best
    while 0 <= j + direction < len(logs):
        following = j + direction
        if excess[following] < 0:
            share = excess[j] / (excess[j] - excess[following])
            return float(logs[j] + share * (logs[following] - logs[j]))
        j = following
    return float(logs[j])
