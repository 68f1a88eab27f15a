"""How a race stands, in a line."""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.comparison.comparison import Contrast, Decision
from lit_lossopt.comparison.race import Race, pair_of
from lit_lossopt.comparison.race_rules import SPEED
from lit_lossopt.core.numbers import counted, listed

_MOST_NAMED = 3


def look_in_words(found: Race, size: int) -> str:
    """Return what one look has decided, and what is open.

    An example is ``look at 4 seeds: adam is better than sgd; open: adam and rmsprop``.
    """
    seen = found.looks[size]
    said = decisions([one for one in seen if found.decided.get(pair_of(one)) == size], found)
    open_pairs = [one for one in seen if found.decided.get(pair_of(one)) != size]
    return f"look at {size} seeds: {_few(said) if said else 'nothing new is decided'}{_open(open_pairs)}"


def standing(found: Race) -> str:
    """Return how the race stands, as ``race: 4 of 6 pairs decided at 8 seeds; open: adam and rmsprop``."""
    arms = len(found.seeds_of)
    pairs = arms * (arms - 1) // 2
    if not found.looks:
        return f"race: the first look is at {counted(found.rules.looks[0], 'seed')}"
    racing = set(found.racing)
    still = [one for one in found.open if {one.first, one.second} <= racing]
    waiting = f"; open: {_few([_both(one) for one in still])}" if still else ""
    return f"race: {len(found.decided)} of {pairs} pairs decided at {max(found.looks)} seeds{waiting}"


def decisions(seen: Sequence[Contrast], race: Race) -> list[str]:
    """Return what was decided, as ``adam is better than momentum and sgd``, best first."""
    better = "faster" if race.rules.question == SPEED else "better"
    behind: dict[str, list[str]] = {}
    for one in seen:
        if one.decision is Decision.CLAIMED:
            behind.setdefault(one.first, []).append(one.second)
    ahead = sorted(behind, key=lambda arm: (-len(behind[arm]), arm))
    same = [f"{_both(one)} are the same at every seed" for one in seen if one.decision is Decision.SAME]
    alike = [f"{_both(one)} are equivalent" for one in seen if one.decision is Decision.EQUIVALENT]
    return [*(f"{arm} is {better} than {listed(sorted(behind[arm]))}" for arm in ahead), *alike, *same]


def _both(found: Contrast) -> str:
    return listed(sorted((found.first, found.second)))


def _open(pairs: Sequence[Contrast]) -> str:
    if len(pairs) > _MOST_NAMED:
        return f"; {len(pairs)} pairs are open"
    return f"; open: {_few([_both(one) for one in pairs])}" if pairs else ""


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_NAMED
    return ", ".join([*texts[:_MOST_NAMED], *([f"and {counted(more, 'more pair')}"] if more > 0 else [])])
