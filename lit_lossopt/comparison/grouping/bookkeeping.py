"""Parameters that tell one run from the next and set nothing.

They are output folders, job numbers, ids, ports and times. If whatever differs in every run made an arm, every run
would be one. But a searched weight decay differs in every run, and so do the optimizers of two runs. So it is not
enough that values are unique. A name that says so must come on top, or a design that only makes sense without them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lit_lossopt.comparison.grouping.arm_names import is_speaking
from lit_lossopt.comparison.grouping.bookkeeping_names import (
    STAMP,
    is_called,
    is_day,
    is_id,
    is_place,
    is_searched,
    may_set,
    says_duration,
)
from lit_lossopt.comparison.grouping.name_words import is_number
from lit_lossopt.comparison.grouping.settings import FRAMEWORK, SWEEP_ARM, Settings, is_rate, varying
from lit_lossopt.tracking.reading.runs import Run

LEAST_RUNS = 3
NEARLY_ALL = 0.9
_EPOCH_SECONDS = 1e9
_HOLE = "*"


@dataclass(frozen=True)
class Cleaned:
    """Settings without bookkeeping.

    Attributes:
        settings: a mapping for each run.
        aside: what was left aside.
        doubtful: what may be some more of it.
    """

    settings: tuple[Settings, ...]
    aside: tuple[str, ...]
    doubtful: tuple[str, ...]


def cleaned(
    runs: Sequence[Run], settings: Sequence[Settings], seeds: Sequence[str], chosen: Collection[str] = ()
) -> Cleaned:
    """Return settings without what only tells runs apart.

    1. A text that contains its run's seed or id counts without it, so ``out/sgd_3`` is ``out/sgd_*``. A folder counts
       without its run's name, unless runs of one seed would then fall together. A text that differs in every run
       counts without the times and ids in it.
    2. A value that has one value for each seed, the same in all arms, follows from the seed.
    3. Of values that are all different, several kinds go. Ids, ports and start times go by their names. Folders,
       names, versions and times go unless runs of one seed would then fall together. Anything else goes if the rest
       is a design, which means arms in which every run has a seed of its own and which share seeds. Learning rates,
       choices of words, what a hyperparameter is called, and numbers that are not whole stay.

    Args:
        runs: those that are compared.
        settings: of each run, without seeds.
        seeds: what pairs each run, or an empty text.
        chosen: settings that stay, whatever they are.
    """
    free = [name for name in varying(settings) if name not in {*chosen, SWEEP_ARM, FRAMEWORK} and not _is_choice(name)]
    reduced, aside = _with_holes(runs, settings, seeds, free, run_names=True)
    arms = _arms(reduced, aside)
    if len(arms) < len(runs) and not _may_go(arms, seeds):
        reduced, aside = _with_holes(runs, settings, seeds, free, run_names=False)
    differing = set(varying(reduced))
    free = [
        name
        for name in free
        if name in differing and name not in aside and not _is_measured(name, _column(reduced, name))
    ]
    derived = [name for name in free if _follows_from(seeds, _column(reduced, name))]
    unique = [
        name
        for name in free
        if name not in derived and not is_searched(name) and _is_unique(name, _column(reduced, name))
    ]
    dropped = _droppable(reduced, unique, seeds, derived)
    doubtful = tuple(name for name in unique if name not in dropped)
    aside = [*aside, *derived, *dropped]
    return Cleaned(tuple(_without(own, aside) for own in reduced), tuple(sorted(aside)), doubtful)


def _with_holes(
    runs: Sequence[Run], settings: Sequence[Settings], seeds: Sequence[str], free: Sequence[str], *, run_names: bool
) -> tuple[list[Settings], list[str]]:
    """Return settings whose texts are without their runs' marks.

    With them come those of these texts that then say nothing more.
    """
    columns = {name: _column(settings, name) for name in free}
    holes = {
        name: filled
        for name, values in columns.items()
        if (filled := _without_marks(values, runs, seeds, run_names=run_names and is_place(name)))
    }
    reduced: list[Settings] = [
        {**own, **{name: value for name, filled in holes.items() if (value := filled[place]) is not None}}
        for place, own in enumerate(settings)
    ]
    arms = _arms(reduced, holes)
    # A text that follows from the other settings, as ``out/sgd_*`` from the optimizer. One that differs nowhere does.
    told = [name for name in holes if all(len({reduced[place].get(name) for place in arm}) == 1 for arm in arms)]
    return reduced, told


def _droppable(
    settings: Sequence[Settings], unique: Sequence[str], seeds: Sequence[str], gone: Sequence[str]
) -> list[str]:
    """Return which parameters are no settings.

    They are chosen from those that differ in every run.
    """
    ids = [name for name in unique if is_id(name, _column(settings, name))]
    dropped = [name for name in ids if not may_set(name, _column(settings, name))]
    named = [name for name in unique if name not in dropped and (name in ids or is_called(name))]
    places = [name for name in unique if is_place(name) and name not in {*dropped, *named}]
    # A sole arm of runs that are called differently may be an arm for each name.
    for more, least in ((places, 1), (named, 2)):
        arms = _arms(settings, [*gone, *dropped, *more])
        if more and len(arms) >= least and _may_go(arms, seeds):
            dropped += more
    others = [name for name in unique if name not in {*dropped, *places, *named}]
    if others and _is_design(_arms(settings, [*gone, *dropped, *others]), seeds):
        dropped += others
    return dropped


def _may_go(arms: Sequence[Sequence[int]], seeds: Sequence[str]) -> bool:
    """Return True if a folder that is left out told no runs apart.

    That is so if no arm has a seed twice. Without distinct seeds it is taken to be so if there are several arms, and
    one of them has several runs.
    """
    if len(set(seeds)) > 1:
        return not any(_repeats([seeds[place] for place in arm]) for arm in arms)
    return len(arms) > 1 and any(len(arm) > 1 for arm in arms)


def _is_design(arms: Sequence[Sequence[int]], seeds: Sequence[str]) -> bool:
    """Return True if these arms are a design.

    Every run has a seed of its own in its arm, and the arms share some.
    """
    own = all(seeds) and not any(_repeats([seeds[place] for place in arm]) for arm in arms)
    return own and any(len(arm) > 1 for arm in arms) and len(set(seeds)) < len(seeds)


def _repeats(seeds: Sequence[str]) -> bool:
    known = [seed for seed in seeds if seed]
    return len(set(known)) < len(known)


def _arms(settings: Sequence[Settings], without: Collection[str]) -> list[list[int]]:
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, own in enumerate(settings):
        groups.setdefault(tuple(sorted(_without(own, without).items())), []).append(place)
    return list(groups.values())


def _is_choice(name: str) -> bool:
    return is_speaking(name) or is_rate(name)


def _is_measured(name: str, values: Sequence[str | None]) -> bool:
    """Return True if a parameter has numbers that are not whole.

    A searched weight decay has such numbers. Times do not count.
    """
    numbers = [float(value) for value in values if value is not None and is_number(value)]
    if not any(number % 1 for number in numbers):
        return False
    return not (says_duration(name) or min(numbers) >= _EPOCH_SECONDS)


def _is_unique(name: str, values: Sequence[str | None]) -> bool:
    known = [value for value in values if value is not None]
    if len(known) < LEAST_RUNS or len(set(known)) < len(known):
        return False
    return len(known) >= NEARLY_ALL * len(values) or is_id(name, values) or is_place(name)


def _follows_from(seeds: Sequence[str], values: Sequence[str | None]) -> bool:
    """Return True if each seed has one value of its own.

    It is the same whatever the arm, and another for each other seed. Some seed must occur twice, and nearly all runs
    must have both.
    """
    pairs = {(seed, value) for seed, value in zip(seeds, values, strict=True) if seed and value is not None}
    known = [seed for seed, value in zip(seeds, values, strict=True) if seed and value is not None]
    different = {seed for seed, _ in pairs}
    one_each = len(pairs) == len(different) == len({value for _, value in pairs})
    return one_each and 1 < len(different) < len(known) and len(known) >= NEARLY_ALL * len(values)


def _without_marks(
    values: Sequence[str | None], runs: Sequence[Run], seeds: Sequence[str], *, run_names: bool
) -> list[str | None] | None:
    """Return texts without their runs' seeds, ids and times.

    None if that makes them no more alike. They lose their runs' names only if asked. Those may be the setting, as
    ``cosine`` in ``cosine_decay``.
    """
    known = [value for value in values if value is not None]
    if any(is_number(value) for value in known):
        return None
    own_names = run_names and len({run.name for run in runs}) == len(runs)
    stamped = len(set(known)) == len(known) >= LEAST_RUNS
    all_forms = []
    for value, run, seed in zip(values, runs, seeds, strict=True):
        # A text that is the run's whole name may be the name of its arm.
        named = [run.name] if own_names and run.name != value else []
        forms = () if value is None else tuple(_templates(value, [*seed.split(), run.run_id, *named], stamped))
        all_forms.append(forms)
    if any(value is not None and not forms for value, forms in zip(values, all_forms, strict=True)):
        return None
    # A seed might stand in several places. The one counts that makes most runs alike.
    counts = Counter(form for forms in all_forms for form in set(forms))
    best = [max(forms, key=lambda form: (counts[form], form), default=None) for forms in all_forms]
    return best if len(set(best) - {None}) < len(set(known)) else None


def _templates(text: str, marks: Sequence[str], times: bool) -> Iterator[str]:
    """Give a text with a hole for a mark of its run.

    Each way in which the mark can stand there gives one.
    """
    stamped = STAMP.sub(_HOLE, text) if times and not is_day(text) else text
    if stamped != text:
        yield stamped
    for mark in marks:
        if len(mark) < LEAST_RUNS and not mark.isdigit():
            continue
        sides = (r"(?<!\d)", r"(?!\d)") if mark.isdigit() else (r"(?<![^\W_])", r"(?![^\W_])")
        pattern = re.compile(sides[0] + re.escape(mark) + sides[1])
        for base in {text, stamped}:
            for spot in pattern.finditer(base):
                yield base[: spot.start()] + _HOLE + base[spot.end() :]
            if pattern.search(base):
                yield pattern.sub(_HOLE, base)


def _column(settings: Sequence[Settings], name: str) -> list[str | None]:
    return [own.get(name) for own in settings]


def _without(settings: Settings, gone: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in gone}
