"""What these data say, one sentence or two a figure. Nothing is claimed here that the statistics do not claim."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from lit_lossopt.compare.comparison import BudgetCurve, Comparison, Sensitivity
from lit_lossopt.compare.drawing import Line
from lit_lossopt.compare.numerals import Unit, count, listed, significant


def best_arm(comparison: Comparison, shown: Unit) -> str:
    """Say which arm ends best, and which cannot be told apart from it."""
    best = comparison.arms[0]
    said = f"{best.name} ends best, at {shown.text(best.final.value)}."
    others = [name for name in comparison.alike if name != best.name]
    return f"{said} {_cannot(others)} from it." if others else said


def fastest_arm(comparison: Comparison) -> str:
    """Say which arm needs the fewest steps, and which cannot be told apart from it."""
    fastest = min(comparison.arms, key=lambda arm: arm.steps_to_target.value)
    if not isfinite(fastest.steps_to_target.value):
        return "In no arm did half of the runs reach the target."
    said = f"{fastest.name} needs the fewest steps to the target: {count(fastest.steps_to_target.value)} in the median."
    others = [name for name in comparison.alike_speed if name != fastest.name]
    return f"{said} {_cannot(others)} from the fastest." if others else said


def lowest_loss(criterion: str, lines: Sequence[Line]) -> list[str]:
    """Say whose loss ends lowest, if anyone's is known to the end."""
    last = {line.arm: line.y[-1] for line in lines if len(line.y) and isfinite(line.y[-1])}
    if not last:
        return [f"{criterion}: no line reaches the end."]
    name = min(last, key=lambda arm: last[arm])
    among = f", the lowest of {len(lines)} arms" if len(lines) > 1 else ""
    return [f"{criterion}: {name} ends at {significant(last[name])}{among}."]


def widest_window(curves: Sequence[Sensitivity]) -> str:
    """Say whose learning rate may be missed by most."""
    known = [one for one in curves if isfinite(one.decades)]
    if not known:
        return ""
    widest = max(known, key=lambda one: one.decades)
    least = "at least " if widest.open_low or widest.open_high else ""
    most = "has the widest window" if len(known) > 1 else "has a window"
    width = f"{least}{significant(widest.decades, 2)} decades"
    return f"{widest.family} {most}: {width} around {significant(widest.best_rate)}."


def best_of_budget(curves: Sequence[BudgetCurve], higher_is_better: bool) -> str:
    """Say whose expected best value is best with one trial, and with as many as all have."""
    sign = 1 if higher_is_better else -1
    shared = min(len(one.expected) for one in curves)
    if not shared or len(curves) == 1:
        return ""
    first, last = (max(curves, key=lambda one: sign * one.expected[k]).family for k in (0, shared - 1))
    said = f"With {shared} tuning trial{'s' * (shared > 1)}, {last} is expected to do best"
    return f"{said}." if first == last else f"{said}; with one, {first}."


def _cannot(names: Sequence[str]) -> str:
    return f"{listed(list(names))} cannot be told apart"
