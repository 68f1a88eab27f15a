"""Which arm is named first.

It also says who cannot be told apart from it. Nothing contradicts what is claimed.

Numbers of an arm are over all of its runs, claims over the seeds that two arms share; so an arm may be first by the
numbers and yet be beaten. Such an arm is not named.
"""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.comparison.comparison import Contrast


def group_of_best(ranked: Sequence[str], made: Sequence[Contrast]) -> tuple[str, ...]:
    """Return the named arm and those like it.

    They cannot be told apart from it. The result is empty where every arm is beaten by another.

    Args:
        ranked: all arms, best first by the numbers.
        made: contrasts of all pairs.
    """
    beaten = {one.second for one in made if one.claimed}
    best = next((name for name in ranked if name not in beaten), None)
    if best is None:
        return ()
    told = {one.second for one in made if one.claimed and one.first == best}
    return best, *(name for name in ranked if name != best and name not in told)


def against_best(made: Sequence[Contrast], alike: Sequence[str]) -> tuple[Contrast, ...]:
    """Return the contrasts with the named arm.

    Those of ``claimed_besides`` are added.
    """
    besides = claimed_besides(made, alike)
    return tuple(one for one in made if one in besides or {*alike[:1]} & {one.first, one.second})


def claimed_besides(made: Sequence[Contrast], alike: Sequence[str]) -> list[Contrast]:
    """Return the claimed contrasts that are not yet said.

    Their loser is not already said to be behind the named arm.
    """
    return [one for one in made if one.claimed and (not alike or one.second in alike)]
