"""The table of a race: every pair, in the order in which it was decided."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from lit_lossopt.comparison.comparison import Comparison, Contrast, Race
from lit_lossopt.comparison.race import pair_of
from lit_lossopt.comparison.report.tables import CLAIMS, Cell, Row, Table, difference_cell
from lit_lossopt.comparison.report.units import Unit, unit
from lit_lossopt.core.numbers import UNKNOWN

RACE_HEADS = (
    ("decided at", "seeds of each arm at the look that decided it"),
    ("difference", "with its interval at that look; the intervals of all looks of the race hold together"),
    ("verdict", "what was decided"),
)


def race_table(comparison: Comparison, look: Mapping[str, int]) -> Table:
    """Return the table of all pairs of a race, in the order in which they were decided.

    It has no rows where there is no race.
    """
    race, shown = comparison.race, unit(comparison.metric)
    if race is None:
        return Table(RACE_HEADS, ())
    ordered = sorted(race.contrasts, key=lambda one: (race.decided.get(pair_of(one), inf), one.first, one.second))
    rows = [
        Row(f"{one.first} against {one.second}", look.get(one.second, -1), _raced(one, race, shown)) for one in ordered
    ]
    return Table(RACE_HEADS, tuple(rows))


def _raced(one: Contrast, race: Race, shown: Unit) -> tuple[Cell, ...]:
    size = race.decided.get(pair_of(one))
    verdict = CLAIMS[one.quantity] if one.claimed else str(one.decision)
    if size is None:
        going = {one.first, one.second} <= set(race.racing)
        text, verdict = UNKNOWN, "open" if going else "open, since one of them stopped"
    else:
        text = str(size)
    return (
        Cell(text, "" if size else f"looked at with {one.difference.n} seeds", inf if size is None else size),
        difference_cell(one, shown),
        Cell(verdict),
    )
