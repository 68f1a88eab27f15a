"""Sentences on a race.

They say when each pair was decided, with how many seeds, and what that has saved.
"""

from __future__ import annotations

from lit_lossopt.comparison.comparison import Comparison, Race
from lit_lossopt.comparison.race import pair_of
from lit_lossopt.comparison.race_rules import SPEED, USUAL_SEEDS
from lit_lossopt.comparison.report.phrases import metric_of
from lit_lossopt.comparison.report.standing import decisions
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import counted, listed, spelled

_MOST_NAMED = 6


def race_sentences(comparison: Comparison) -> list[str]:
    """Return how the race was decided, or nothing where there is none."""
    found = comparison.race
    if found is None:
        return []
    if not found.looks:
        return [f"The race has not begun. Its first look needs {counted(found.rules.looks[0], 'seed')} of two arms."]
    if not any(arm.verdicts.get(Verdict.COMPLETED) for arm in comparison.arms):
        return ["No run came to a sound end, so the race has decided nothing."]
    # What a race has saved can be told at its end alone.
    cost = [] if found.racing else [_cost(found)]
    return [_state(comparison, found), *_when(found), *_stopped(found), *cost]


def _state(comparison: Comparison, found: Race) -> str:
    what = "speed" if found.rules.question == SPEED else f"final {metric_of(comparison)}"
    seeds = counted(max(found.looks), "seed")
    if found.racing:
        limit = ", its limit" if found.next_look is None else ""
        return (
            f"The race by {what} is open after {seeds}{limit}. Between {listed(list(found.racing))} it is not decided."
        )
    if found.left:
        gone = listed(sorted(found.left))
        return f"The race by {what} has ended after {seeds}, but {gone} left it before, since runs of it are missing."
    first = listed(list(found.unbeaten))
    if len(found.unbeaten) == 1:
        return f"{first} has won the race by {what}, after {seeds}."
    if not first:
        return f"The race by {what} has ended after {seeds} without a winner, since each arm is behind another."
    return f"The race by {what} has ended after {seeds}. No arm is ahead of {first}."


def _when(found: Race) -> list[str]:
    """Return which pair was decided at which look."""
    said = []
    for size in sorted(found.looks):
        decided = decisions([one for one in found.looks[size] if found.decided.get(pair_of(one)) == size], found)
        said += [f"At {counted(size, 'seed')} it was decided that {one}." for one in decided]
    more = [f"So it was for {counted(len(said) - _MOST_NAMED, 'more decision')}."] if len(said) > _MOST_NAMED else []
    return [" ".join([*said[:_MOST_NAMED], *more])] if said else []


def _stopped(found: Race) -> list[str]:
    """Say which pairs stay open because an arm has stopped."""
    racing = set(found.racing)
    stopped = [one for one in found.open if not {one.first, one.second} <= racing]
    if not stopped:
        return []
    beaten = {one.second for one in found.contrasts if one.claimed}
    behind = all({one.first, one.second} & beaten for one in stopped)
    reason = "since an arm stops when it is behind another" if behind else "since one of them had stopped or left"
    if len(stopped) == 1:
        arms = listed(sorted((stopped[0].first, stopped[0].second)))
        return [f"Between {arms} nothing was decided, {reason}."]
    return [f"In {counted(len(stopped), 'pair')} of other arms nothing was decided, {reason}."]


def _cost(found: Race) -> str:
    """Say how many trainings the race took, beside the usual fixed number."""
    usual = USUAL_SEEDS * len(found.seeds_of)
    took = f"It took {found.trainings} repeats"
    if found.trainings == usual:
        return f"{took}, as many as {spelled(USUAL_SEEDS)} seeds for each arm."
    less = "fewer" if found.trainings < usual else "more"
    return f"{took}, {spelled(abs(found.trainings - usual))} {less} than {spelled(USUAL_SEEDS)} seeds for each arm."
