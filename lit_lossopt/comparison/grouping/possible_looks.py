"""Moments at which a person may have looked, and added seeds afterwards.

The times of runs tell them. They show a possibility and no intention.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.measures.trial import seed_of
from lit_lossopt.comparison.statistics.judge import LEAST_PAIRS
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run

# Milliseconds. The next run of a loop in a shell begins within seconds, after its imports. Whoever starts a comparison,
# reads it and types a command takes longer.
PAUSE = 60_000

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """A moment after which seeds were added.

    Attributes:
        seeds: number of seeds that were complete then.
        added: the seeds that were completed afterwards, in their order.
        pause: milliseconds from then to the first run of an added seed.
    """

    seeds: int
    added: tuple[str, ...]
    pause: int


def possible_looks(arms: Sequence[ArmRuns]) -> tuple[Look, ...]:
    """Return the moments at which a look may have led to more seeds.

    Three seeds or more that two arms share were complete then. No run was under way, and none began for more than a
    minute. Afterwards the same two arms got a seed that no two arms had before. So an arm that is added with the seeds
    of the others adds no seed. Moments before the planned end of a sweep do not count, and of several moments with the
    same seeds the first counts. There are none if the times of a run are not known.

    Args:
        arms: with all their runs. Of repeated ones the first counts, since its result could be seen first.
    """
    runs = [run for arm in arms for run in arm.runs]
    if not all(0 < run.start <= (run.end or 0) for run in runs):
        return ()
    seeds = sorted({seed_of(run) for run in runs} - {""}, key=lambda seed: (len(seed), seed))
    pairs = _pairs(arms, seeds)
    looks: dict[int, Look] = {}
    for moment in _pauses(runs):
        complete, later = _complete_and_added(pairs, moment)
        added = tuple(seed for seed, is_added in zip(seeds, later, strict=True) if is_added)
        if added and _planned(runs, moment) <= complete and complete not in looks:
            first = min(run.start for run in runs if seed_of(run) in added and run.start > moment)
            looks[complete] = Look(complete, added, first - moment)
    return tuple(looks.values())


def with_repeated(
    counted: Sequence[ArmRuns], arms: Sequence[ArmRuns], older: Mapping[str, Sequence[Run]]
) -> list[ArmRuns]:
    """Return the arms that count, with the older runs that theirs repeat.

    Args:
        counted: arms with one run for each seed.
        arms: the same and more, with all runs that were grouped.
        older: id of a run → older ones that were left out before runs were grouped.
    """
    grouped = {arm.name: arm.runs for arm in arms}
    found = []
    for arm in counted:
        seeds = {seed_of(run) for run in arm.runs}
        own = [run for run in grouped[arm.name] if seed_of(run) in seeds]
        before = [_with_seed(old, seed_of(run)) for run in own for old in older.get(run.run_id, ())]
        found.append(replace(arm, runs=(*own, *before)))
    return found


def _with_seed(run: Run, seed: str) -> Run:
    return replace(run, tags={**run.tags, names.TAG_SEED: seed})


def _pauses(runs: Sequence[Run]) -> Iterator[int]:
    """Yield the ends of runs after which nothing ran for a while."""
    until = 0
    for run in sorted(runs, key=lambda run: run.start):
        if until and run.start - until > PAUSE:
            yield until
        until = max(until, run.end or 0)


def _pairs(arms: Sequence[ArmRuns], seeds: Sequence[str]) -> Floats:
    """Return when each pair of arms had both runs of a seed ``[pairs, seeds]``.

    It is infinite if they never had. Pairs with too few seeds for a look and one more are left out.
    """
    column = {seed: place for place, seed in enumerate(seeds)}
    ends = np.full((len(arms), len(seeds)), np.inf)
    for row, arm in enumerate(arms):
        for run in arm.runs:
            if seed_of(run) in column:
                place = row, column[seed_of(run)]
                ends[place] = min(ends[place], run.end or np.inf)
    # Products of floats are far faster than those of whole numbers.
    present = np.isfinite(ends).astype(np.float64)
    first, second = np.nonzero(np.triu(present @ present.T > LEAST_PAIRS, 1))
    pairs: Floats = np.maximum(ends[first], ends[second])
    return pairs


def _complete_and_added(pairs: Floats, moment: int) -> tuple[int, Mask]:
    """Return how many seeds were complete at a moment, and which were added later ``[seeds]``.

    Only pairs of arms count that could be tested at that moment.
    """
    complete = pairs <= moment
    tested = complete.sum(axis=1) >= LEAST_PAIRS
    before = complete[tested].any(axis=0)
    later = np.isfinite(pairs[tested]).any(axis=0) & ~before
    return int(before.sum()), later


def _planned(runs: Sequence[Run], moment: int) -> int:
    """Return the number of seeds that was planned for the runs before a moment.

    It is 0 if they belong to no sweep.
    """
    tags = [run.tags.get(names.TAG_PLANNED_SEEDS, "") for run in runs if (run.end or 0) <= moment]
    return max((int(tag) for tag in tags if tag.isdecimal()), default=0)
