"""Which arms end worse than a special case of their own.

Claimed contrasts and what was tried for each arm come in. One record for each such arm goes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lit_lossopt.comparison.comparison import Arm, ArmRuns, Contrast, SpecialCase
from lit_lossopt.comparison.grouping.space import Point, Space, point_of, space_of
from lit_lossopt.comparison.inclusion.match import lacking
from lit_lossopt.comparison.inclusion.relations import RELATIONS


def special_cases(finals: Sequence[Contrast], arms: Sequence[Arm], tried: Sequence[ArmRuns]) -> tuple[SpecialCase, ...]:
    """Return the arms that are claimed to end worse than a special case of their own.

    Each family of arms counts by its best one. Of several special cases of an arm one is told. It is one that the
    search contained before the others, an exact one before a limit, and then the best.

    Args:
        finals: contrasts of the final value, of all pairs.
        arms: best first.
        tried: all that was trained, the compared arms first.
    """
    families = {arm.name: arm.family for arm in arms}
    best = {family: name for name, family in reversed(families.items())}
    spaces = {family: space_of([arm for arm in tried if arm.family == family]) for family in best}
    points = {arm.name: point_of(arm) for arm in reversed(tried)}
    claims = {(contrast.second, contrast.first) for contrast in finals if contrast.claimed}
    found: list[SpecialCase] = []
    for name, family in families.items():
        better = {winner: points[winner] for winner in families if (name, winner) in claims and winner in best.values()}
        cases = sorted(_cases(name, spaces[family], better), key=_rank) if name == best[family] else []
        found += cases[:1]
    return tuple(sorted(found, key=lambda case: not case.under_tuned))


def _cases(name: str, space: Space, better: dict[str, Point]) -> Iterator[SpecialCase]:
    for winner, point in better.items():
        for relation in RELATIONS:
            held = lacking(relation, space, point)
            if held is not None:
                yield SpecialCase(name, winner, relation.case, held, limit=relation.limit)


def _rank(case: SpecialCase) -> tuple[bool, bool]:
    return not case.under_tuned, case.limit
