"""Sentences on what is not claimed.

They say who cannot be told apart, who is equivalent, and how many seeds a claim would need.
"""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.comparison.comparison import Comparison, Contrast, Decision
from lit_lossopt.comparison.report.phrases import metric_of, points, signed_interval, unequal_budgets
from lit_lossopt.comparison.statistics.contrasts import BEYOND, NEITHER, NO_SHARED_SEED
from lit_lossopt.comparison.statistics.paired_tests import SIGN_FLIP, TOO_FEW
from lit_lossopt.core.numbers import listed, named, some, spelled

_MANY_SEEDS = 100


def told_apart(comparison: Comparison) -> list[str]:
    """Return who cannot be told apart from the named arm.

    It also says how many seeds that would take.

    Nothing is said of two other arms: one of them may be claimed to be ahead of the other.
    """
    groups = [
        (comparison.alike_speed, comparison.speeds, "speed"),
        (comparison.alike, comparison.finals, f"final {metric_of(comparison)}"),
    ]
    sentences = []
    for names, contrasts, what in groups:
        best = names[0] if names else ""
        pairs = [one for one in contrasts if best in {one.first, one.second}]
        same = [_other(one, best) for one in pairs if one.decision is Decision.SAME]
        open_ = [one for one in pairs if one.decision is Decision.OPEN]
        never = [_other(one, best) for one in pairs if one.remark in {NEITHER, BEYOND}]
        if never:
            who = _of_best(best, never, "cannot be compared", "with")
            sentences.append(f"{who} in speed. In each pair the shorter run ended before either got there.")
        few = [_other(one, best) for one in pairs if one.remark in {TOO_FEW, NO_SHARED_SEED}]
        if few and len(few) < len(pairs):
            who = _of_best(best, few, "share", "with")
            sentences.append(f"{who} too few seeds to be compared in {what}.")
        if same:
            sentences.append(
                f"{_of_best(best, same, 'do not differ', 'from')} in {what}, which is the same at every seed."
            )
        if open_:
            who = _of_best(best, [_other(one, best) for one in open_], str(Decision.OPEN), "from")
            sentences.append(f"{who} in {what}{unequal_budgets(comparison, open_)}.{_seeds_needed(open_)}")
    return sentences


def equivalent(comparison: Comparison) -> list[str]:
    """Return who is equivalent to the named arm.

    It gives the intervals and the margin.
    """
    best = comparison.alike[0] if comparison.alike else ""
    pairs = [
        one for one in comparison.finals if one.decision is Decision.EQUIVALENT and best in {one.first, one.second}
    ]
    if not pairs:
        return []
    metric = comparison.metric
    margin = f"within the margin of {points(comparison.margin, metric)}"
    if len(pairs) == 1:
        one = pairs[0]
        size = f"They differ by {points(one.difference.value, metric)}{signed_interval(one.difference, metric)}"
        return [f"{one.first} and {one.second} are equivalent in final {metric_of(comparison)}. {size}, {margin}."]
    others = [
        f"{_other(one, best)}, {points(one.difference.value, metric)}{signed_interval(one.difference, metric)}"
        for one in pairs
    ]
    return [f"Equivalent to {best} in final {metric_of(comparison)}, {margin}, are {some(others, '; ')}."]


def _of_best(best: str, others: Sequence[str], verb: str, preposition: str) -> str:
    """Return ``a and b cannot be told apart``.

    Of several arms it is ``b and c cannot be told apart from a``.
    """
    if len(others) == 1:
        return f"{listed(sorted([best, *others]))} {verb}"
    return f"{named(sorted(others))} {verb} {preposition} {best}"


def _other(contrast: Contrast, name: str) -> str:
    return contrast.second if contrast.first == name else contrast.first


def _seeds_needed(pairs: Sequence[Contrast]) -> str:
    constant = [one.seeds_needed or 0 for one in pairs if one.test == SIGN_FLIP]
    if constant:
        which = "Every seed shows the same difference" if len(pairs) == 1 else "In some pairs every seed shows the same"
        return f" {which}. The sign-flip test, which decides then, needs {spelled(max(constant))} seeds."
    known = sorted(one.seeds_needed for one in pairs if one.seeds_needed is not None)
    if not known or len(known) < len(pairs):
        return ""
    what = "A difference as small as this" if len(known) == 1 else "Differences as small as these"
    if known[0] > _MANY_SEEDS:
        return f" {what} would need more than {_MANY_SEEDS} seeds."
    many = spelled(known[0]) if known[0] == known[-1] else f"{known[0]} to {min(known[-1], _MANY_SEEDS)}"
    more = " or more" if known[-1] > _MANY_SEEDS else ""
    return f" {what} would need about {many}{more} seeds."
