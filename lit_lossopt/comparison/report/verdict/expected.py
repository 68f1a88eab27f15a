"""What a comparison says to what was expected of it."""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.comparison.comparison import Comparison, Contrast, Decision
from lit_lossopt.comparison.expectations import (
    BETTER,
    EQUIVALENT,
    FASTER,
    STEADIER,
    Expectation,
    Expected,
    Outcome,
    with_arms,
)
from lit_lossopt.comparison.report.phrases import arm_named, evidence, metric_of, points, signed_interval, size_interval
from lit_lossopt.comparison.report.verdict.convergence import faster, no_speed
from lit_lossopt.comparison.statistics.paired_tests import SIGN_FLIP
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import bracketed, counted, listed, ratio, times

# Relation → the quantities that decide it.
_QUANTITIES = {
    BETTER: ("final",),
    EQUIVALENT: ("final",),
    FASTER: ("steps_to_target",),
    STEADIER: ("climb_back", "roughness"),
}
# Quantity → what is claimed of the arm that does better.
_CLAIMS = {"final": BETTER, "steps_to_target": FASTER, "climb_back": STEADIER, "roughness": STEADIER}


def judge_expectations(expected: Sequence[Expected], comparison: Comparison) -> list[Expectation]:
    """Return what a comparison says to each expectation.

    Raises:
        UserError: an arm is not one of the comparison's.
    """
    named = with_arms(expected, [arm.name for arm in comparison.arms])
    return [Expectation(one.text, one.first, one.relation, one.second, *_judged(one, comparison)) for one in named]


def in_words(found: Expectation) -> str:
    """Return an expectation and what was found, in a line."""
    return f"Expected: {found.text.rstrip('.')}. It {_IN_WORDS[found.outcome]}. {found.because}"


_IN_WORDS = {
    Outcome.HOLDS: "holds",
    Outcome.CONTRADICTED: "is contradicted",
    Outcome.UNDECIDED: "is neither shown nor contradicted",
}


def _judged(one: Expected, comparison: Comparison) -> tuple[Outcome, str]:
    found = _contrast_of(one, comparison)
    if found is None:
        both = listed(sorted((one.first, one.second)))
        what, reason = ("speed", no_speed(comparison)) if one.relation == FASTER else ("steadiness", "")
        return Outcome.UNDECIDED, f"{both} were not compared in {what}. {reason}".strip()
    because = _said(found, comparison)
    if one.relation == EQUIVALENT:
        small = f" That is within the margin of {points(comparison.margin, comparison.metric)}."
        return _of_equivalence(found, comparison.margin), because + small * (found.claimed and found.equivalent)
    if found.claimed:
        return (Outcome.HOLDS if found.first == one.first else Outcome.CONTRADICTED), because
    return (Outcome.CONTRADICTED if found.equivalent else Outcome.UNDECIDED), because


def _contrast_of(one: Expected, comparison: Comparison) -> Contrast | None:
    wanted, arms = _QUANTITIES[one.relation], {one.first, one.second}
    pairs = (pair for pair in comparison.contrasts if pair.quantity in wanted and {pair.first, pair.second} == arms)
    return next(pairs, None)


def _of_equivalence(found: Contrast, margin: float) -> Outcome:
    """Say whether two arms are equivalent.

    A difference may be claimed and yet be within the margin. It contradicts equivalence if the whole interval is beyond
    the margin. Where every seed shows the same difference there is no interval, and that difference decides.
    """
    if found.equivalent:
        return Outcome.HOLDS
    ends = (found.difference.low, found.difference.high) if found.test != SIGN_FLIP else found.leads
    beyond = found.claimed and min(map(abs, ends)) > margin
    return Outcome.CONTRADICTED if beyond else Outcome.UNDECIDED


def _said(found: Contrast, comparison: Comparison) -> str:
    both = f"{found.first} and {found.second}"
    what = f"final {metric_of(comparison)}" if found.quantity == "final" else _TOLD[found.quantity]
    if found.decision is Decision.UNTESTED:
        return f"{both} were not tested in {what}{f' ({found.remark})' if found.remark else ''}."
    if not any(arm_named(comparison, name).verdicts.get(Verdict.COMPLETED) for name in (found.first, found.second)):
        return f"No run of {both} came to a sound end."
    if found.decision is Decision.SAME:
        return f"{both} are the same at every seed in {what} ({counted(found.difference.n, 'seed')})."
    if found.claimed:
        return f"{_claimed(found, comparison)} {evidence([found])}."
    size = _size(found, comparison)
    verb = "are equivalent" if found.equivalent else str(Decision.OPEN)
    return f"{both} {verb} in {what}, which differs by {size} ({counted(found.difference.n, 'seed')})."


def _claimed(found: Contrast, comparison: Comparison) -> str:
    """Return what is claimed of the arm that does better."""
    if found.quantity == "steps_to_target":
        # Where runs missed the target, the factor is too small, or means nothing.
        return f"{found.first} is {faster(found)}"
    size = _size(found, comparison)
    if found.quantity == "climb_back":
        return f"{found.first}'s training loss climbs back {size} less than {found.second}'s"
    return f"{found.first} is {_CLAIMS[found.quantity]} {found.second}, by {size}"


_TOLD = {"steps_to_target": "speed", "climb_back": "climb-back", "roughness": "roughness"}


def _size(found: Contrast, comparison: Comparison) -> str:
    """Return a difference or a factor with its interval."""
    difference, metric = found.difference, comparison.metric
    if found.quantity in ("steps_to_target", "climb_back"):
        return f"{times(difference.value)}{bracketed(difference.low, difference.high, ratio)}"
    between = (size_interval if found.claimed else signed_interval)(difference, metric)
    return f"{points(difference.value, metric)}{between}"
