"""Sentences on arms that end worse than a special case of their own."""

from __future__ import annotations

from lit_lossopt.comparison.comparison import Comparison, Held, SpecialCase
from lit_lossopt.comparison.grouping.name_words import spelled
from lit_lossopt.core.numbers import counted, listed

_MOST_CASES = 3
_IN_WORDS = {"eps": "epsilon", "betas": "beta1", "beta_1": "beta1", "wd": "weight decay"}


def special_cases(comparison: Comparison) -> list[str]:
    """Say which arms are under-tuned, or held where their special case would have been better."""
    said = [sentence for case in comparison.special_cases[:_MOST_CASES] for sentence in _told(case)]
    left = len(comparison.special_cases) - _MOST_CASES
    more = [f"{counted(left, 'more arm').capitalize()} lost to special cases of their own."] if left > 0 else []
    return [*said, *more]


def _told(case: SpecialCase) -> list[str]:
    lost = f"{case.general} lost to {case.special}, its special case of {case.case}"
    if case.limit:
        lost = f"{case.general} lost to {case.special}, its special case in {case.case}"
    if case.under_tuned:
        return [f"{lost}, although its search contained that case. So {case.general} is under-tuned."]
    return [f"{lost}.", f"{_sentence(case)}."]


def _sentence(case: SpecialCase) -> str:
    held = listed([_held(one, first=place == 0) for place, one in enumerate(case.held)])
    wanted = case.held[0].wanted if len(case.held) == 1 else ""
    return f"{held}, and the other's is {wanted}" if wanted else held


def _held(held: Held, *, first: bool) -> str:
    end = spelled(held.name)
    name = _IN_WORDS.get(end, end.replace("_", " "))
    tried = f"held at {held.low}" if held.low == held.high else f"tried from {held.low} to {held.high} alone"
    return f"{'Its' if first else 'its'} {name} was {tried}"
