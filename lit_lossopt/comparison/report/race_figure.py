"""The figure of a race: how the lead of one arm narrows from look to look."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite, nan

import numpy as np

from lit_lossopt.comparison.comparison import Comparison, Contrast, Race
from lit_lossopt.comparison.race_rules import SPEED
from lit_lossopt.comparison.report.figure_spec import Axis, Dots, Figure, Floats, Line, Mark, Panel
from lit_lossopt.comparison.report.phrases import points
from lit_lossopt.comparison.report.units import unit
from lit_lossopt.comparison.report.verdict.race import race_sentences
from lit_lossopt.core.numbers import interval, ratio, significant

# By how many seeds the dots of the next arm lie further right, so that their intervals can be told apart.
_ASIDE = 0.2
Lead = tuple[float, float, float]


def race(comparison: Comparison) -> Figure | None:
    """Show the lead of one arm over each other, at each look of the race.

    A pair is decided where its interval leaves out the middle line (no difference), or lies between the outer ones
    (equivalent within the margin). The intervals of all pairs and looks hold together. An arm that has stopped has no
    further dots. Dots without an interval are of a look that could not decide anything yet. The widest intervals are
    cut off at first. Dots of several arms lie side by side.
    """
    found = comparison.race
    if found is None or not found.looks:
        return None
    leader = _leader(comparison, found)
    others = [arm.name for arm in comparison.arms if arm.name != leader]
    series = [one for place, other in enumerate(others) for one in _series(found, comparison, leader, other, place)]
    if not series:
        return None
    panel = Panel(
        f"{leader} against each other arm",
        (Axis("seeds", "seeds of each arm"),),
        _label(comparison, found),
        lines=tuple(line for line, _ in series),
        dots=tuple(dot for _, dots in series for dot in dots),
        marks=tuple(_marks(comparison, found)),
        x_whole=True,
        y_log=found.rules.question == SPEED,
    )
    panel = replace(panel, y_range=_late_range(panel))
    return Figure("race", "How the race was decided", " ".join(race_sentences(comparison)), (panel,))


def _late_range(panel: Panel) -> tuple[float, float] | None:
    """Return the range of the later half of the intervals, and of all marks."""
    places = np.concatenate([dots.x for dots in panel.dots])
    late = [(dots, dots.x >= np.median(places)) for dots in panel.dots if len(dots.low)]
    marks = [mark.start[1] for mark in panel.marks]
    ends = np.concatenate([*(end[kept] for dots, kept in late for end in (dots.low, dots.high)), marks])
    low, high = float(ends.min()), float(ends.max())
    if panel.y_log:
        edge = (high / low) ** 0.05
        return low / edge, high * edge
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _leader(comparison: Comparison, found: Race) -> str:
    alike = comparison.alike_speed if found.rules.question == SPEED else comparison.alike
    return alike[0] if alike else comparison.arms[0].name


def _series(
    found: Race, comparison: Comparison, leader: str, other: str, place: int
) -> list[tuple[Line, tuple[Dots, ...]]]:
    """Return the leads over one arm, as a line and dots."""
    looks = [(size, one) for size in sorted(found.looks) for one in found.looks[size]]
    seen = [(size, lead(one, leader, found)) for size, one in looks if {one.first, one.second} == {leader, other}]
    seen = [(size, numbers) for size, numbers in seen if isfinite(numbers[0])]
    if not seen:
        return []
    factor = 1.0 if found.rules.question == SPEED else unit(comparison.metric).factor
    sizes = np.array([size for size, _ in seen]) + _ASIDE * place
    values = factor * np.array([numbers for _, numbers in seen])
    texts = [_text(other, size, row, found) for (size, _), row in zip(seen, values, strict=True)]
    bounded = np.flatnonzero(np.isfinite(values).all(axis=1))
    bare = np.flatnonzero(~np.isfinite(values).all(axis=1))
    without = Dots(other, sizes[bare], values[bare, 0], [texts[place] for place in bare])
    ends = values[bounded, 1], values[bounded, 2]
    told = [texts[place] for place in bounded]
    within = Dots(other, sizes[bounded], values[bounded, 0], told, *ends, strong=True)
    return [(Line(other, {"seeds": sizes}, values[:, 0]), tuple(one for one in (without, within) if len(one.x)))]


def lead(found: Contrast, leader: str, race: Race) -> Lead:
    """Return by how much an arm leads in a contrast, with the ends of the interval.

    It is a difference, or a factor where speed decides.
    """
    value, low, high = found.difference.value, found.difference.low, found.difference.high
    if race.rules.question == SPEED:
        return (value, low, high) if found.first == leader else (1 / value, 1 / high, 1 / low)
    return (value, low, high) if found.first == leader else (-value, -high, -low)


def _text(other: str, size: int, numbers: Floats, found: Race) -> str:
    shown = ratio if found.rules.question == SPEED else significant
    between = interval(numbers[1], numbers[2], shown)
    return f"over {other} at {size} seeds: {shown(numbers[0])}{f', interval {between}' if between else ''}"


def _label(comparison: Comparison, found: Race) -> str:
    if found.rules.question == SPEED:
        return "times faster"
    return f"lead in {comparison.metric}{unit(comparison.metric).difference_axis}"


def _marks(comparison: Comparison, found: Race) -> list[Mark]:
    """Return lines at no difference and at the margin to either side, of which one is named."""
    margin = found.rules.margin
    if found.rules.question == SPEED:
        text, levels = f"margin: {ratio(margin)}×", (margin, 1.0, 1 / margin)
    else:
        size = unit(comparison.metric).factor * margin
        text, levels = f"margin: {points(margin, comparison.metric)}", (size, 0.0, -size)
    return [Mark(text * (place == 0), (nan, level), (nan, level)) for place, level in enumerate(levels)]
