"""What these data say, one sentence or two a figure. Nothing is claimed here that the statistics do not claim."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from lit_lossopt.compare.comparison import BudgetCurve, Comparison, Sensitivity
from lit_lossopt.compare.drawing import Line
from lit_lossopt.compare.numerals import Unit, count, listed, significant


def best_arm(comparison: Comparison, shown: Unit) -> str:
    """Say which arm ends best, and which cannot be told apart from it."""
    if not comparison.alike:
        return "No arm ends best: over shared seeds each is behind another."
    best = next(arm for arm in comparison.arms if arm.name == comparison.alike[0])
    said = f"{best.name} ends best, at {shown.text(best.final.value)}."
    others = comparison.alike[1:]
    return f"{said} {_cannot(others)} from it." if others else said


def fastest_arm(comparison: Comparison) -> str:
    """Say which arm is first to the target, and which cannot be told apart from it."""
    if not any(isfinite(arm.steps_to_target.value) for arm in comparison.arms):
        return "In no arm did half of the runs reach the target."
    if not comparison.alike_speed:
        return "No arm is first to the target: over shared seeds each is behind another."
    first = next(arm for arm in comparison.arms if arm.name == comparison.alike_speed[0])
    steps = first.steps_to_target.value
    within = f"{count(steps)} steps in the median" if isfinite(steps) else f"{first.reached} of its runs reach it"
    said = f"{first.name} is first to the target: {within}."
    others = comparison.alike_speed[1:]
    return f"{said} {_cannot(others)} from it in speed." if others else said


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
