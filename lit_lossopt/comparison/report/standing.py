"""How a race stands, in a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from lit_lossopt.comparison.comparison import Contrast, Decision
from lit_lossopt.comparison.race import Race, pair_of
from lit_lossopt.comparison.race_rules import SPEED
from lit_lossopt.core.numbers import counted, listed, spelled

_MOST_NAMED = 3


def new_looks(before: Race | None, found: Race) -> list[str]:
    """Return in words what has changed in a race, a line for each look.

    Args:
        before: the race as it was said last, or None.
        found: the race now.
    """
    sizes = [
        size
        for size in sorted(found.looks)
        if before is None or size not in before.looks or _pairs(found, size) != _pairs(before, size)
    ]
    again = sorted(listed(sorted(pair)) for pair in (before.decided if before else {}) if pair not in found.decided)
    reopened = f"open again, because a later run did not come to a sound end: {_few(again)}"
    return [*(look_in_words(found, size) for size in sizes), *([reopened] if again else [])]


def look_in_words(found: Race, size: int) -> str:
    """Return what one look has decided, and what is open.

    An example is ``look at 4 seeds: adam is better than sgd; open: adam and rmsprop``.
    """
    then = _at(found, size)
    said = decisions([one for one in found.looks[size] if found.decided.get(pair_of(one)) == size], found)
    nothing = "nothing new is decided" if then.decided else "nothing is decided yet"
    still = open_in_words(then)
    return f"look at {size} seeds: {_few(said) if said else nothing}{f'; {still}' if still else ''}"


def standing(found: Race) -> str:
    """Return how the race stands.

    An example is ``race at 8 seeds: 4 pairs decided, 1 open; to 12 seeds go adam and rmsprop``.
    """
    if not found.looks:
        return f"race: the first look is at {counted(found.rules.looks[0], 'seed')}"
    pairs = f"race at {max(found.looks)} seeds: {len(found.decided)} of {_all_pairs(found)} pairs decided"
    waiting = _waiting(found)
    if not waiting:
        return pairs
    more = (
        f"to {found.next_look} seeds go {listed(list(found.racing))}" if found.next_look else "this was the last look"
    )
    return f"{pairs}, {len(waiting)} open; {more}"


def open_in_words(found: Race) -> str:
    """Return which pairs more seeds could decide, as ``open: adam and rmsprop``, or an empty text.

    Pairs of an arm that is behind another are none of them, because that arm has stopped.
    """
    pairs = _waiting(found)
    if len(pairs) > _MOST_NAMED:
        return f"{len(pairs)} pairs are open"
    return f"open: {_few([listed(list(pair)) for pair in pairs])}" if pairs else ""


def decisions(seen: Sequence[Contrast], race: Race) -> list[str]:
    """Return what was decided, as ``adam is better than momentum and sgd``, best first."""
    better = "faster" if race.rules.question == SPEED else "better"
    behind: dict[str, list[str]] = {}
    for one in seen:
        if one.decision is Decision.CLAIMED:
            behind.setdefault(one.first, []).append(one.second)
    ahead = sorted(behind, key=lambda arm: (-len(behind[arm]), arm))
    same = [f"{_both(one)} are the same at every seed" for one in seen if one.decision is Decision.SAME]
    alike = [f"{listed(group)} are equivalent" for group in _groups(seen)]
    return [*(f"{arm} is {better} than {listed(sorted(behind[arm]))}" for arm in ahead), *alike, *same]


def _groups(seen: Sequence[Contrast]) -> list[list[str]]:
    """Return groups of arms of which each is equivalent to each other one.

    A pair is told once, in the first group that it fits.
    """
    left = {pair_of(one) for one in seen if one.decision is Decision.EQUIVALENT}
    groups = []
    while left:
        group: list[str] = []
        for arm in sorted({arm for pair in left for arm in pair}):
            if all(frozenset((arm, other)) in left for other in group):
                group.append(arm)
        groups.append(group)
        left -= {frozenset(pair) for pair in combinations(group, 2)}
    return groups


def _both(found: Contrast) -> str:
    return listed(sorted((found.first, found.second)))


def _pairs(found: Race, size: int) -> set[frozenset[str]]:
    return {pair_of(one) for one in found.looks[size]}


def _at(found: Race, size: int) -> Race:
    """Return a race as it was at one of its looks."""
    return replace(found, looks={at: seen for at, seen in found.looks.items() if at <= size})


def _waiting(found: Race) -> list[tuple[str, str]]:
    """Return the pairs that more seeds could decide.

    A pair without any value yet, as where no run has reached the target, is one of them.
    """
    return [pair for pair in combinations(found.racing, 2) if frozenset(pair) not in found.decided]


def _all_pairs(found: Race) -> int:
    arms = len(found.seeds_of)
    return arms * (arms - 1) // 2


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_NAMED
    return ", ".join([*texts[:_MOST_NAMED], *([f"and {spelled(more)} more"] if more > 0 else [])])
