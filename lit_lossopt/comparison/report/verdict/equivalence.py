"""Sentences on equivalence and on what is not claimed.

They say who cannot be told apart, who is equivalent, and how many seeds a claim would need.
"""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.comparison.comparison import Comparison, Contrast, Decision
from lit_lossopt.comparison.report.phrases import metric_of, points, signed_interval, unequal_budgets
from lit_lossopt.comparison.statistics.contrasts import BEYOND, NEITHER, NO_SHARED_SEED
from lit_lossopt.comparison.statistics.look_sizes import look_sizes
from lit_lossopt.comparison.statistics.paired_tests import SIGN_FLIP, TOO_FEW
from lit_lossopt.core.numbers import counted, listed, named, some, spelled

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
        pairs = [contrast for contrast in contrasts if best in {contrast.first, contrast.second}]
        same = [_other(contrast, best) for contrast in pairs if contrast.decision is Decision.SAME]
        open_ = [contrast for contrast in pairs if contrast.decision is Decision.OPEN]
        never = [_other(contrast, best) for contrast in pairs if contrast.remark in {NEITHER, BEYOND}]
        if never:
            who = _of_best(best, never, "cannot be compared", "with")
            sentences.append(f"{who} in speed. In each pair the shorter run ended before either got there.")
        few = [_other(contrast, best) for contrast in pairs if contrast.remark in {TOO_FEW, NO_SHARED_SEED}]
        if few and len(few) < len(pairs):
            who = _of_best(best, few, "share", "with")
            sentences.append(f"{who} too few seeds to be compared in {what}.")
        if same:
            sentences.append(
                f"{_of_best(best, same, 'do not differ', 'from')} in {what}, which is the same at every seed."
            )
        if open_:
            who = _of_best(best, [_other(contrast, best) for contrast in open_], str(Decision.OPEN), "from")
            sentences.append(f"{who} in {what}{unequal_budgets(comparison, open_)}.{_seeds_needed(open_, comparison)}")
    return sentences


def equivalent(comparison: Comparison) -> list[str]:
    """Return who is equivalent to the named arm.

    It gives the intervals and the margin.
    """
    best = comparison.alike[0] if comparison.alike else ""
    pairs = [
        contrast
        for contrast in comparison.finals
        if contrast.decision is Decision.EQUIVALENT and best in {contrast.first, contrast.second}
    ]
    if not pairs:
        return []
    metric = comparison.metric
    margin = f"within the margin of {points(comparison.margin, metric)}"
    if len(pairs) == 1:
        (contrast,) = pairs
        both = f"{contrast.first} and {contrast.second}"
        size = f"They differ by {_difference(contrast, metric)}{_seeds(contrast, comparison)}"
        return [f"{both} are equivalent in final {metric_of(comparison)}. {size}, {margin}."]
    others = [
        f"{_other(contrast, best)}, {_difference(contrast, metric)}{_seeds(contrast, comparison)}" for contrast in pairs
    ]
    return [f"Equivalent to {best} in final {metric_of(comparison)}, {margin}, are {some(others, '; ')}."]


def _seeds(contrast: Contrast, comparison: Comparison) -> str:
    """Return with how many seeds a race has decided it, since its arms may have more by now."""
    return f" with {counted(contrast.difference.n, 'seed')}" if comparison.race else ""


def _difference(contrast: Contrast, metric: str) -> str:
    return f"{points(contrast.difference.value, metric)}{signed_interval(contrast.difference, metric)}"


def _of_best(best: str, others: Sequence[str], verb: str, preposition: str) -> str:
    """Return ``a and b cannot be told apart``.

    Of several arms it is ``b and c cannot be told apart from a``.
    """
    if len(others) == 1:
        return f"{listed(sorted([best, *others]))} {verb}"
    return f"{named(sorted(others))} {verb} {preposition} {best}"


def _other(contrast: Contrast, name: str) -> str:
    return contrast.second if contrast.first == name else contrast.first


def _seeds_needed(pairs: Sequence[Contrast], comparison: Comparison) -> str:
    constant = [contrast.seeds_needed or 0 for contrast in pairs if contrast.test == SIGN_FLIP]
    if constant:
        which = "Every seed shows the same difference" if len(pairs) == 1 else "In some pairs every seed shows the same"
        return f" {which}. The sign-flip test, which decides then, needs {spelled(max(constant))} seeds."
    known = sorted(_looked_at(contrast.seeds_needed, comparison) for contrast in pairs if contrast.seeds_needed)
    if not known or len(known) < len(pairs):
        return ""
    what = "A difference of this size" if len(known) == 1 else "Differences of these sizes"
    if known[0] > _MANY_SEEDS:
        return f" {what} would need more than {_MANY_SEEDS} seeds."
    many = spelled(known[0]) if known[0] == known[-1] else f"{known[0]} to {min(known[-1], _MANY_SEEDS)}"
    more = " or more" if known[-1] > _MANY_SEEDS else ""
    return f" {what} would need about {many}{more} seeds."


def _looked_at(seeds: int, comparison: Comparison) -> int:
    """Return the seeds of the look at which a race would have so many."""
    return next(size for size in look_sizes() if size >= seeds) if comparison.race else seeds
