"""Parts that several figures of a comparison share.

They are rows of dots, arms by their loss, and marks of learning rates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import isfinite, nan

import numpy as np

from lit_lossopt.comparison.comparison import Arm, Comparison, Estimate, Sensitivity, Trial
from lit_lossopt.comparison.report.figure_spec import Axis, Dots, Line, Mark, Panel, Raw
from lit_lossopt.comparison.report.units import Unit
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import interval, significant


def row_panel(
    comparison: Comparison,
    rows: Sequence[str],
    label: str,
    value: Callable[[Trial], float],
    summary: Callable[[Arm], Estimate],
) -> Panel:
    """Return a panel with a row for each arm.

    A row has a dot for each run, and the arm's summary with its interval.
    """
    dots: list[Dots] = []
    for row, arm in enumerate(comparison.arms):
        known = [(trial, value(trial)) for trial in arm.trials if isfinite(value(trial))]
        texts = [f"{run_label(trial)}: {significant(number)}" for trial, number in known]
        dots.append(Dots(arm.name, np.full(len(known), float(row)), np.array([number for _, number in known]), texts))
        whole = summary(arm)
        if isfinite(whole.value):
            between = interval(whole.low, whole.high, significant)
            text = f"{arm.name}: {significant(whole.value)}{f', 95 % interval {between}' if between else ''}"
            ends = [np.array([end]) if isfinite(end) else np.empty(0) for end in (whole.low, whole.high)]
            low, high = ends if all(map(len, ends)) else (np.empty(0), np.empty(0))
            dots.append(Dots(arm.name, np.array([float(row)]), np.array([whole.value]), [text], low, high, strong=True))
    return Panel("", (Axis("row", ""),), label, dots=tuple(dots), rows=tuple(rows))


def run_label(trial: Trial) -> str:
    """Return the name of a run in a figure.

    It is its arm and seed, or its own name where it has no seed.
    """
    return f"{trial.arm}, seed {trial.seed}" if trial.seed else trial.run.name


def by_criterion(arms: Sequence[Arm]) -> dict[str, list[Arm]]:
    """Return the arms of each loss.

    An arm has only those runs that were trained with the loss.

    A loss is named by its class; where one class was used with several arguments, by those that differ, too.
    """
    arms_of: dict[_Criterion, list[Arm]] = {}
    for arm in arms:
        for criterion in dict.fromkeys(map(_criterion, arm.trials)):
            trials = tuple(trial for trial in arm.trials if _criterion(trial) == criterion)
            arms_of.setdefault(criterion, []).append(replace(arm, trials=trials))
    return {_criterion_name(criterion, arms_of): members for criterion, members in arms_of.items()}


_Criterion = tuple[str, frozenset[tuple[str, str]]]


def _criterion(trial: Trial) -> _Criterion:
    prefix = "criterion."
    params = trial.run.params
    arguments = {(key.removeprefix(prefix), value) for key, value in params.items() if key.startswith(prefix)}
    return params.get("criterion", "loss"), frozenset(arguments)


def _criterion_name(criterion: _Criterion, among: Iterable[_Criterion]) -> str:
    shared = frozenset.intersection(*(arguments for name, arguments in among if name == criterion[0]))
    return " ".join([criterion[0], *(f"{key}={value}" for key, value in sorted(criterion[1] - shared))])


def loss_range(lines: Sequence[Line], raws: Sequence[Raw]) -> tuple[float, float] | None:
    """Return the range of losses to show at first.

    It has the lines with their bands and nearly all batches. It leaves out where runs diverge to.

    Above three times the largest loss at a start nothing is shown.
    """
    starts = [abs(float(raw.values[0])) for raw in raws if len(raw.values) and isfinite(raw.values[0])]
    batches = [raw.values[np.isfinite(raw.values)] for raw in raws]
    ends = [np.quantile(part, (0.002, 0.998)) for part in batches if len(part)]
    values = np.concatenate([*ends, *(part for line in lines for part in (line.y, line.low, line.high))])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if starts and max(starts) > low:
        high = min(high, 3 * max(starts))
    if low > 0:
        edge = max(high / low, 1.1) ** 0.04
        return low / edge, high * edge
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def rate_dots(one: Sensitivity, shown: Unit) -> list[Dots]:
    """Return a dot for each run of a family.

    Those that diverged have a cross.
    """
    all_dots = []
    for crossed in (False, True):
        points = [point for point in one.points if (point[2] == Verdict.DIVERGED) is crossed and isfinite(point[1])]
        texts = [
            f"{one.family}, lr {significant(rate)}: {shown.text(final)}, {verdict}" for rate, final, verdict in points
        ]
        x, y = (np.array([point[place] for point in points]) for place in (0, 1))
        all_dots.append(Dots(one.family, x, shown.factor * y, texts, crossed=crossed))
    return [dots for dots in all_dots if len(dots.x)]


def window_levels(curves: Sequence[Sensitivity], shown: Unit) -> list[float]:
    """Return how high the bar of each family lies.

    Its rows are above all values, with the first family on top.
    """
    values = np.concatenate([[point[1] for point in one.points] + list(one.finals) for one in curves])
    finite = values[np.isfinite(values)]
    if not len(finite):
        return [nan] * len(curves)
    span = float(finite.max() - finite.min()) or 1.0
    return [shown.factor * (float(finite.max()) + 0.05 * (len(curves) - place) * span) for place in range(len(curves))]


def rate_marks(one: Sensitivity, level: float) -> list[Mark]:
    """Return the marks of a family's learning rates.

    The window is a bar at ``level``. A vertical line shows where the family diverges.
    """
    if not isfinite(level) or not all(map(isfinite, one.window)):
        return []
    ends = (one.open_low, one.open_high)
    between = interval(*one.window, significant)
    text = f"{one.family}: window from {between}, {'at least ' * any(ends)}{significant(one.decades, 2)} decades"
    marks = [Mark(text, (one.window[0], level), (one.window[1], level), one.family, ends)]
    if isfinite(one.diverging):
        above = f"{significant(one.decades_to_divergence, 2)} decades above its best rate"
        text = f"{one.family}: diverges at {significant(one.diverging)}, {above}"
        marks.append(Mark(text, (one.diverging, nan), (one.diverging, nan), one.family))
    return marks
