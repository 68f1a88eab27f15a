"""Sentences on learning rates and losses.

They say how far the best rates of two losses are apart, and where losses share a rate that was not tuned.
"""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.comparison.comparison import Comparison, RateShift
from lit_lossopt.core.numbers import bracketed, counted, interval, listed, significant, some

_MOST_SAID = 3
_MOST_WARNINGS = 2


def rates(comparison: Comparison) -> list[str]:
    """Say how best rates differ between losses, and where they were not tuned."""
    inside = [shift for shift in comparison.rate_shifts if not shift.edges]
    inside.sort(key=lambda shift: -shift.factor.value)
    told = [shift for shift in inside if shift.told]
    return [
        *_told(told),
        *(["Each of these intervals holds for itself alone."] if len(told) > 1 else []),
        *_of_one_seed([shift for shift in inside if shift.factor.n == 1]),
        *_untold([shift for shift in inside if shift.factor.n > 1 and not shift.told]),
        *_at_edges(comparison.rate_shifts),
        *_shared(comparison),
    ]


def _told(shifts: Sequence[RateShift]) -> list[str]:
    groups: dict[tuple[str, str, str], list[RateShift]] = {}
    for shift in shifts:
        groups.setdefault((shift.first, shift.beside, _seeds(shift)), []).append(shift)
    said = [
        f"{_the(beside)} best rate of {first} is {some([_of_second(shift) for shift in group])} ({seeds})."
        for (first, beside, seeds), group in groups.items()
    ]
    left = sum(map(len, list(groups.values())[_MOST_SAID:]))
    return [*said[:_MOST_SAID], *_more(left, "The best rates of {} of losses differ, too.")]


def _of_one_seed(shifts: Sequence[RateShift]) -> list[str]:
    if not shifts:
        return []
    near = [f"{shift.first} and {shift.second}{_with(shift.beside)}" for shift in shifts if not shift.is_seen]
    said = _told([shift for shift in shifts if shift.is_seen])
    close = [f"Less than one step of the rates lies between the best of {some(near, '; ')}."] if near else []
    step = significant(max(shift.step for shift in shifts))
    seeds = "tuning seeds (tuning_seeds: 3)" if shifts[0].tuning else "seeds"
    return [*said, *close, f"Rates were tried in steps of {step} times, with one seed. More {seeds} give an interval."]


def _untold(shifts: Sequence[RateShift]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for shift in shifts:
        factor = f"{interval(shift.factor.low, shift.factor.high, _short)}{_with(shift.beside)}"
        groups.setdefault((shift.first, shift.second), []).append(factor)
    said = [
        f"Between {first} and {second} no shift of the best rate can be told. The factor is {some(factors)}."
        for (first, second), factors in groups.items()
    ]
    return [*said[:_MOST_SAID], *_more(len(said) - _MOST_SAID, "Nor can it be told between {} of losses.")]


def _at_edges(shifts: Sequence[RateShift]) -> list[str]:
    """Say which best rates lie at the end of what was tried.

    How far they are from others cannot be told.
    """
    known = {(shift.beside, edge.loss, edge): None for shift in shifts for edge in shift.edges}
    said = []
    for highest in (True, False):
        ends = [
            f"{loss}{_with(beside)} ({significant(edge.rate)})"
            for beside, loss, edge in sorted(known, key=lambda one: one[:2])
            if edge.highest is highest
        ]
        side = "highest" if highest else "lowest"
        best = f"In some seed the {side} rate that was tried is the best of {some(ends)}."
        said += [f"{best} So its shift cannot be told."] if ends else []
    return said


def _shared(comparison: Comparison) -> list[str]:
    said = [
        f"{listed(shared.losses)} were trained{_with(shared.beside)} at one rate, {significant(shared.rate)}, and no "
        "other was tried. Best rates differ between losses, so this compares rates as well as losses."
        for shared in comparison.shared_rates[:_MOST_WARNINGS]
    ]
    left = len(comparison.shared_rates) - _MOST_WARNINGS
    return [*said, *([f"The same holds for {counted(left, 'more group')} of losses."] if left > 0 else [])]


def _of_second(shift: RateShift) -> str:
    factor = f"{_short(shift.factor.value)}{bracketed(shift.factor.low, shift.factor.high, _short)}"
    return f"{factor} times that of {shift.second}"


def _seeds(shift: RateShift) -> str:
    return counted(shift.factor.n, "tuning seed" if shift.tuning else "seed")


def _short(value: float) -> str:
    return significant(value, 2)


def _the(beside: str) -> str:
    return f"With {beside} the" if beside else "The"


def _with(beside: str) -> str:
    return f" with {beside}" if beside else ""


def _more(left: int, sentence: str) -> list[str]:
    return [sentence.format(counted(left, "more pair"))] if left > 0 else []
