"""What a figure's data say, in one sentence or two.

Nothing is claimed here that the statistics do not claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from lit_lossopt.comparison.comparison import BudgetCurve, Sensitivity
from lit_lossopt.comparison.report.figure_spec import Line
from lit_lossopt.core.numbers import listed, significant

_MOST_NAMED = 4


def last_losses(criterion: str, lines: Sequence[Line]) -> list[str]:
    """Return where the loss of each arm ends.

    Unknown ends are left out. Arms are not ranked.
    """
    last = {line.arm: line.y[-1] for line in lines if len(line.y) and isfinite(line.y[-1])}
    if not last:
        return [f"{criterion}: no line reaches the end."]
    if len(last) > _MOST_NAMED:
        low, high = min(last.values()), max(last.values())
        return [f"{criterion} ends between {significant(low)} and {significant(high)}."]
    ends = listed([f"{significant(last[name])} for {name}" for name in sorted(last)])
    return [f"{criterion} ends at {ends}."]


def windows(curves: Sequence[Sensitivity]) -> str:
    """Return how wide each arm's window of learning rates is.

    It is known only as far as rates were tried.
    """
    known = [curve for curve in curves if isfinite(curve.decades)]
    if not known or len(known) > _MOST_NAMED:
        return ""
    widths = [
        f"{curve.family} {'at least ' * (curve.open_low or curve.open_high)}{significant(curve.decades, 2)} decades "
        f"around {significant(curve.best_rate)}"
        for curve in known
    ]
    return f"Windows of the rates that were tried: {listed(widths)}."


def best_of_budget(curves: Sequence[BudgetCurve], higher_is_better: bool) -> str:
    """Return whose expected best value is best.

    There is an answer for one trial, and for as many as all arms have.
    """
    sign = 1 if higher_is_better else -1
    shared = min(len(curve.expected) for curve in curves)
    if not shared or len(curves) == 1:
        return ""
    first, last = (max(curves, key=lambda curve: sign * curve.expected[k]).family for k in (0, shared - 1))
    some = "one gives" if shared == 1 else f"{shared} give"
    said = f"Of the trials that were made, {some} {last} the best expected value"
    return f"{said}." if first == last else f"{said}, and one gives it to {first}."
