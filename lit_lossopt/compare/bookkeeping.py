"""Parameters that tell one run from the next and set nothing: output folders, job numbers, ids, ports, times.

Whatever differs in every run would make an arm of every run. But a searched weight decay differs in every run, and so
do the optimizers of two runs. So it is not enough that values are unique: a name that says so must come on top, or a
design that only makes sense without them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lit_lossopt.compare.arm_names import is_speaking
from lit_lossopt.compare.name_words import is_number, last_part, words_of
from lit_lossopt.compare.settings import FRAMEWORK, SWEEP_ARM, Settings, is_rate, varying
from lit_lossopt.tracking.runs import Run

LEAST_RUNS = 3
NEARLY_ALL = 0.9
# Words of a name that say: which run it was, not what was run. The first anywhere, the second at the end.
_IDS = {"commit", "guid", "hostname", "job", "jobid", "pid", "sha", "slurm", "timestamp", "uuid", "wandb"}
_LAST_IDS = {"created", "date", "datetime", "duration", "elapsed", "host", "id", "node", "port", "run", "runtime",
             "started", "time", "trial", "version"}  # fmt: skip
_COUNTED, _COUNTS = {"exp", "experiment", "run", "trial"}, {"idx", "index", "no", "num", "number"}
_DURATIONS = {"duration", "elapsed", "runtime", "timestamp"}
_PLACES = {"cache", "checkpoint", "checkpoints", "ckpt", "cwd", "dir", "directory", "dirname", "file", "filename",
           "folder", "label", "log", "logdir", "logs", "name", "out", "output", "path", "rundir", "save", "tag",
           "tags", "tmp", "uri", "url", "workdir"}  # fmt: skip
# With one of these a name or path says what was trained: ``model_name_or_path``.
_SUBJECTS = {"arch", "backbone", "config", "data", "dataset", "encoder", "loss", "method", "model", "net", "network",
             "optim", "optimizer", "student", "task", "teacher", "tokenizer", "train", "training"}  # fmt: skip
_OWN_PLACES = {"dir", "directory", "folder", "log", "logdir", "logs", "out", "output", "save", "ckpt"}
_EPOCH_SECONDS = 1e9
_STAMP = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?<![^\W_])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}(?![^\W_])"
    r"|\d{4}[-_.]?[01]\d[-_.]?[0-3]\d(?:[T_ .:/-]*[0-2]\d[-_:.h]?[0-5]\d(?:[-_:.m]?[0-5]\d(?:\.\d+)?)?)?"
    r"|[A-Z][a-z]{2}\d{2}_\d{2}-\d{2}-\d{2}"
    r"|\d{9,}"
)
_HOLE = "*"


@dataclass(frozen=True)
class Cleaned:
    """Settings without bookkeeping, a mapping for each run; what was left aside; what may be some more of it."""

    settings: tuple[Settings, ...]
    aside: tuple[str, ...]
    doubtful: tuple[str, ...]


def cleaned(
    runs: Sequence[Run], settings: Sequence[Settings], seeds: Sequence[str], chosen: Collection[str] = ()
) -> Cleaned:
    """Return settings without what only tells one run from the next.

    1. A text that contains its run's seed, id or name counts without it: ``out/sgd_3`` is ``out/sgd_*``. So does one
       that differs in every run, without the times and ids in it.
    2. A value that has one value for each seed, the same in all arms, follows from the seed.
    3. Of values that are all different: ids, ports and times by their names; folders and names, unless runs of one seed
       would then fall together; and anything else, where the rest is a design, arms in which every run has a seed of
       its own and which share seeds (for words it is enough that every run has its own). Learning rates, choices of
       words and numbers that are not whole stay.

    Args:
        runs: those that are compared.
        settings: of each run, without seeds.
        seeds: what pairs each run, or an empty text.
        chosen: settings that stay, whatever they are.
    """
    free = [name for name in varying(settings) if name not in {*chosen, SWEEP_ARM, FRAMEWORK} and not _is_choice(name)]
    holes = {name: filled for name in free if (filled := _without_marks(_column(settings, name), runs, seeds))}
    found = [_filled(one, {name: holes[name][place] for name in holes}) for place, one in enumerate(settings)]
    differing = set(varying(found))
    aside = [name for name in holes if name not in differing or _is_told_by_others(name, found, holes)]
    free = [
        name
        for name in free
        if name in differing and name not in aside and not _is_measured(name, _column(found, name))
    ]
    derived = [name for name in free if _follows_from(seeds, _column(found, name))]
    unique = [name for name in free if name not in derived and _is_unique(name, _column(found, name))]
    dropped = _droppable(found, unique, seeds, derived)
    doubtful = tuple(name for name in unique if name not in dropped)
    aside = [*aside, *derived, *dropped]
    return Cleaned(tuple(_without(one, aside) for one in found), tuple(sorted(aside)), doubtful)


def _droppable(
    settings: Sequence[Settings], unique: Sequence[str], seeds: Sequence[str], gone: Sequence[str]
) -> list[str]:
    """Return which of the parameters that differ in every run are no settings."""
    dropped = [name for name in unique if _is_id(name, _column(settings, name))]
    places = [name for name in unique if name not in dropped and _is_place(name)]
    if places and _may_go(_arms(settings, [*gone, *dropped, *places]), seeds):
        dropped += places
    others = [name for name in unique if name not in dropped]
    if others and _is_design(_arms(settings, [*gone, *dropped, *others]), seeds, words=_all_words(settings, others)):
        dropped += others
    return dropped


def _may_go(arms: Sequence[Sequence[int]], seeds: Sequence[str]) -> bool:
    """Tell whether these arms throw no runs together that only a folder told apart."""
    if len(set(seeds)) > 1:
        return not any(_repeats([seeds[place] for place in arm]) for arm in arms)
    return len(arms) > 1 and any(len(arm) > 1 for arm in arms)


def _is_design(arms: Sequence[Sequence[int]], seeds: Sequence[str], *, words: bool) -> bool:
    """Tell whether every run has a seed of its own in these arms, and the arms share some."""
    own = all(seeds) and not any(_repeats([seeds[place] for place in arm]) for arm in arms)
    return own and any(len(arm) > 1 for arm in arms) and (words or len(set(seeds)) < len(seeds))


def _repeats(seeds: Sequence[str]) -> bool:
    known = [seed for seed in seeds if seed]
    return len(set(known)) < len(known)


def _arms(settings: Sequence[Settings], without: Collection[str]) -> list[list[int]]:
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, one in enumerate(settings):
        groups.setdefault(tuple(sorted(_without(one, without).items())), []).append(place)
    return list(groups.values())


def _is_choice(name: str) -> bool:
    return is_speaking(name) or is_rate(name)


def _is_measured(name: str, values: Sequence[str | None]) -> bool:
    """Tell whether a parameter has numbers that are not whole, as a searched weight decay has, and times have not."""
    numbers = [float(value) for value in values if value is not None and is_number(value)]
    if not any(number % 1 for number in numbers):
        return False
    return not (set(words_of(name)) & _DURATIONS or min(numbers) >= _EPOCH_SECONDS)


def _is_told_by_others(name: str, settings: Sequence[Settings], but: Collection[str]) -> bool:
    """Tell whether a text follows from the settings that are no such texts: ``out/sgd_*`` from the optimizer."""
    return all(len({settings[place].get(name) for place in arm}) == 1 for arm in _arms(settings, but))


def _is_unique(name: str, values: Sequence[str | None]) -> bool:
    known = [value for value in values if value is not None]
    if len(known) < LEAST_RUNS or len(set(known)) < len(known):
        return False
    return len(known) >= NEARLY_ALL * len(values) or _is_id(name, values) or _is_place(name)


def _is_id(name: str, values: Sequence[str | None]) -> bool:
    if all(_STAMP.fullmatch(value) for value in values if value is not None):
        return True
    words = words_of(name)
    last, known = words_of(last_part(name))[-1:], set(words)
    if known & _SUBJECTS:
        return False
    counts = bool(known & _COUNTED and known & _COUNTS)
    return bool(known & _IDS or set(last) & _LAST_IDS) or counts


def _is_place(name: str) -> bool:
    words = set(words_of(name))
    return bool(words & _PLACES) and (not words & _SUBJECTS or bool(words & _OWN_PLACES))


def _all_words(settings: Sequence[Settings], wanted: Sequence[str]) -> bool:
    """Tell whether all values are words: neither numbers nor lists of numbers."""
    values = [one[name] for name in wanted for one in settings if name in one]
    return all(re.search(r"[^\W\d_]{2}", value) and not value.startswith(("[", "(", "{")) for value in values)


def _follows_from(seeds: Sequence[str], values: Sequence[str | None]) -> bool:
    """Tell whether there is one value for each seed, whatever the arm, and another for each other seed."""
    pairs = {(seed, value) for seed, value in zip(seeds, values, strict=True) if seed and value is not None}
    known = [seed for seed, value in zip(seeds, values, strict=True) if seed and value is not None]
    different = {seed for seed, _ in pairs}
    one_each = len(pairs) == len(different) == len({value for _, value in pairs})
    return one_each and 1 < len(different) < len(known) and len(known) >= NEARLY_ALL * len(values)


def _without_marks(values: Sequence[str | None], runs: Sequence[Run], seeds: Sequence[str]) -> list[str | None] | None:
    """Return texts without their runs' seeds, ids, names and times; None where that makes them no more alike."""
    known = [value for value in values if value is not None]
    if any(is_number(value) for value in known):
        return None
    own_names = len({run.name for run in runs}) == len(runs)
    stamped = len(set(known)) == len(known) >= LEAST_RUNS
    found = []
    for value, run, seed in zip(values, runs, seeds, strict=True):
        # A text that is the run's whole name may be the name of its arm.
        named = [run.name] if own_names and run.name != value else []
        forms = () if value is None else tuple(_templates(value, [*seed.split(), run.run_id, *named], stamped))
        found.append(forms)
    if any(value is not None and not forms for value, forms in zip(values, found, strict=True)):
        return None
    # Of several places where a seed might stand, the one that makes most runs alike.
    counts = Counter(form for forms in found for form in set(forms))
    best = [max(forms, key=lambda form: (counts[form], form), default=None) for forms in found]
    return best if len(set(best) - {None}) < len(set(known)) else None


def _templates(text: str, marks: Sequence[str], times: bool) -> Iterator[str]:
    """Give a text with a hole where one of its run's marks stands, in each way in which it can."""
    stamped = _STAMP.sub(_HOLE, text) if times else text
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
    return [one.get(name) for one in settings]


def _filled(settings: Settings, values: Mapping[str, str | None]) -> Settings:
    return {**settings, **{name: value for name, value in values.items() if value is not None}}


def _without(settings: Settings, gone: Collection[str]) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name not in gone}
