"""The arms of a plan, and where each of them is tried."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.plan.file import Level, Plan
from lit_lossopt.sweeps.plan.points import LogGrid, Point, Search


@dataclass(frozen=True)
class Arm:
    """One level of each factor.

    Attributes:
        name: the levels' names, as ``adam focal``; the plan's, where it has no factors.
        levels: one of each factor.
        search: where it is tried; None: as it is.
    """

    name: str
    levels: tuple[Level, ...]
    search: Search | None


@dataclass(frozen=True)
class Reach:
    """By how many points a log grid goes beyond its ends."""

    below: int = 0
    above: int = 0


AS_IT_IS = Reach()


def arms(plan: Plan) -> tuple[Arm, ...]:
    """Return every combination of levels.

    Raises:
        UserError: two levels of an arm say where it is tried, or arms would get different budgets.
    """
    combinations = []
    for levels in itertools.product(*plan.factors.values()):
        searches = [level for level in levels if level.search]
        if len(searches) > 1:
            raise UserError(
                f"{plan.path}: {searches[0].name} and {searches[1].name} both have "
                "learning_rates or quasi_random; leave one out"
            )
        name = " ".join(level.name for level in levels) or plan.name
        combinations.append(Arm(name, levels, searches[0].search if searches else plan.search))
    counts = {arm.name: len(points_of(arm, Reach())) for arm in combinations}
    if len(set(counts.values())) > 1:
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        raise UserError(
            f"{plan.path}: {few} is tried at {counts[few]} points and {many} at {counts[many]}; every arm needs the "
            "same number, or the comparison is not fair"
        )
    return tuple(combinations)


def searches(plan: Plan) -> bool:
    """Return whether any arm is tried at several points."""
    return any(arm.search for arm in arms(plan))


def points_of(arm: Arm, reach: Reach) -> tuple[Point, ...]:
    """Return where an arm is tried.

    Where nothing is searched it is the one empty point.
    """
    return arm.search.points(reach.below, reach.above) if arm.search else ({},)


def on_grids(plan: Plan) -> bool:
    """Return whether every arm is tried on a grid.

    Only grids have ends that can be extended, so a sweep extends all arms or none.
    """
    return all(isinstance(arm.search, LogGrid) for arm in arms(plan))
