"""Which of all pairs of arms a page and its JSON list.

Pairs grow with the square of the number of arms. Two hundred arms have sixty thousand contrasts. Nobody reads them, and
no browser shows them well. All of them are tested in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lit_lossopt.comparison.comparison import Comparison, Contrast
from lit_lossopt.comparison.statistics.contrasts import CLIMB_BACK
from lit_lossopt.comparison.statistics.winners import against_best, group_of_best

# All contrasts are listed up to so many, which are those of 58 arms in three questions.
MOST_CONTRASTS = 5_000
# Beyond, each question has at most so many.
MOST_OF_A_QUESTION = 500


@dataclass(frozen=True)
class Listing:
    """The contrasts that a page shows, and those that its JSON holds.

    Attributes:
        finals: that the page shows, of the final value.
        speeds: likewise, of the steps to target.
        oscillations: likewise, of climb-back or roughness.
        contrasts: that the JSON holds.
    """

    finals: tuple[Contrast, ...]
    speeds: tuple[Contrast, ...]
    oscillations: tuple[Contrast, ...]
    contrasts: tuple[Contrast, ...]


def listing(comparison: Comparison) -> Listing:
    """Return what is listed of a comparison.

    Where there are very many contrasts, those with the named arm come first, then those with the smallest p. Of
    oscillation, the named arm is the steadiest. A person who asks for all pairs gets all.
    """
    if comparison.all_pairs or len(comparison.contrasts) <= MOST_CONTRASTS:
        return Listing(comparison.finals, comparison.speeds, comparison.oscillations, comparison.contrasts)
    steady = group_of_best(_by_steadiness(comparison), comparison.oscillations)
    finals = _first(comparison.finals, comparison.alike[:1])
    speeds = _first(comparison.speeds, comparison.alike_speed[:1])
    oscillations = _first(against_best(comparison.oscillations, steady), steady[:1])
    return Listing(finals, speeds, oscillations, (*finals, *speeds, *oscillations))


def note_on_listing(comparison: Comparison) -> tuple[str, ...]:
    """Say that not all contrasts are listed, if so."""
    listed, tested = len(listing(comparison).contrasts), len(comparison.contrasts)
    if listed == tested:
        return ()
    said = (
        f"Of {tested:,} comparisons of two arms, a page and its JSON list {listed:,}, which are those with the best "
        "arm of each question and those with the smallest p. With --all-pairs they list all."
    )
    return (said,)


def _by_steadiness(comparison: Comparison) -> list[str]:
    """Return the arms that are compared for oscillation, the steadiest first."""
    climbing = any(one.quantity == CLIMB_BACK.name for one in comparison.oscillations)
    levels = {arm.name: (arm.climb_back if climbing else arm.roughness).value for arm in comparison.arms}
    compared = {name for one in comparison.oscillations for name in (one.first, one.second)}
    return sorted(compared, key=lambda name: (levels[name], name))


def _first(contrasts: Sequence[Contrast], named: Sequence[str]) -> tuple[Contrast, ...]:
    """Return as many contrasts as are listed, in their order."""
    if len(contrasts) <= MOST_OF_A_QUESTION:
        return tuple(contrasts)
    # Unknown p values come last. The order of equal ones stays.
    places = sorted(
        range(len(contrasts)),
        key=lambda place: (
            not {contrasts[place].first, contrasts[place].second} & set(named),
            not contrasts[place].p >= 0,
            contrasts[place].p if contrasts[place].p >= 0 else 0.0,
        ),
    )
    return tuple(contrasts[place] for place in sorted(places[:MOST_OF_A_QUESTION]))
