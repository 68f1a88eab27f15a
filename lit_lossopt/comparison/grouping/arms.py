"""From runs to arms.

All runs of an arm differ by their seed alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.grouping.arm_names import distinct_names, short_names, telling
from lit_lossopt.comparison.grouping.bookkeeping import cleaned
from lit_lossopt.comparison.grouping.pairing import Pairing, note_on, pairing
from lit_lossopt.comparison.grouping.settings import (
    SWEEP_ARM,
    Settings,
    parent_of,
    plain,
    rate_of,
    resolve,
    settings_of,
    value_of,
    varying,
)
from lit_lossopt.comparison.measures.trial import seed_of
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.reading.runs import Run

TUNING, REPEAT = "tuning", names.REPEAT


@dataclass(frozen=True)
class Grouping:
    """What is compared.

    Attributes:
        arms: by name.
        tuning: trials of a sweep that only found the arms' settings.
        by: the settings that make an arm.
        notes: one sentence for each thing to know.
    """

    arms: tuple[ArmRuns, ...]
    tuning: tuple[ArmRuns, ...]
    by: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Described:
    """A run with its settings that can set its arm apart.

    Its tag of seeds says what pairs it.
    """

    run: Run
    settings: Settings


def group(runs: Sequence[Run], by: Sequence[str] = (), ignore: Sequence[str] = (), seed_name: str = "") -> Grouping:
    """Return runs in arms.

    If a sweep has repeated what it tuned, the tuning trials stand apart. Picked as the best of many, they would
    flatter. Without ``by`` everything that differs makes an arm, except seeds, machines and bookkeeping.

    Args:
        runs: those that count, with their histories.
        by: short names of parameters or tags.
        ignore: short names of parameters that set no arm apart, whatever they are.
        seed_name: the parameter or tag that pairs runs. Without it, whatever is a seed by its name.

    Raises:
        UserError: no run has a name, it can mean several things, or it is named for two purposes.
    """
    asked = _asked(runs, by, ignore, seed_name)
    phases = {run.tags.get(names.TAG_PHASE) for run in runs}
    apart = TUNING in phases and phases != {TUNING}
    compared = [run for run in runs if not (apart and run.tags.get(names.TAG_PHASE) == TUNING)]
    tuned = [run for run in runs if apart and run.tags.get(names.TAG_PHASE) == TUNING]
    notes = []
    if phases == {TUNING}:
        notes.append("There are only tuning trials and no repeats yet. The best of many tries is no fair sample.")
    described, seed_notes = _described(compared, asked)
    arms, mixed = _arms(described, asked.by)
    tuning, _ = _arms(_described(tuned, asked)[0], asked.by)
    known = list(dict.fromkeys(name for arm in arms for name in arm.settings))
    told = tuple(by) or tuple(short_names(known).values())
    along = [] if by else _along(described, known)
    return Grouping(tuple(arms), tuple(tuning), told, (*notes, *seed_notes, *mixed, *along))


@dataclass(frozen=True)
class _Asked:
    """What was asked for, as whole names."""

    by: tuple[str, ...]
    ignored: frozenset[str]
    seed_name: str


def _asked(runs: Sequence[Run], by: Sequence[str], ignore: Sequence[str], seed_name: str) -> _Asked:
    keys = tuple(resolve(word, runs) for word in by)
    ignored = frozenset(resolve(word, runs, "--ignore", tags=False) for word in ignore)
    seed = resolve(seed_name, runs, "--seed-name") if seed_name else ""
    for flag, wanted in (("--by", keys), ("--seed-name", (seed,))):
        twice = sorted(ignored & set(wanted))
        if twice:
            raise UserError(f"--ignore {twice[0]}: {flag} names it too, and a setting cannot be both")
    return _Asked(keys, ignored, seed)


def _described(runs: Sequence[Run], asked: _Asked) -> tuple[list[Described], list[str]]:
    """Return runs with what pairs them and their settings.

    With them comes what a reader must know of both.
    """
    gone = {*asked.ignored, asked.seed_name}
    all_settings = [{name: text for name, text in settings_of(run).items() if name not in gone} for run in runs]
    paired = pairing(runs, asked.seed_name, asked.ignored)
    clean = cleaned(runs, all_settings, paired.keys, asked.by)
    keys, notes = _seeds(runs, paired, clean.settings)
    if clean.aside:
        notes.append(f"Left aside, since they only tell one run or seed from the next: {_listed(clean.aside)}.")
    single = len({tuple(sorted(own.items())) for own in clean.settings}) == len(runs)
    if clean.doubtful and single and not asked.by:
        what = _listed(clean.doubtful)
        notes.append(
            f"Every run is an arm of its own, and differs in {what}. Leave aside what is no setting, with --ignore."
        )
    tagged = [replace(run, tags={**run.tags, names.TAG_SEED: key}) for run, key in zip(runs, keys, strict=True)]
    return [Described(run, own) for run, own in zip(tagged, clean.settings, strict=True)], notes


def _arms(described: Sequence[Described], keys: Sequence[str]) -> tuple[list[ArmRuns], list[str]]:
    """Return arms, and what differs within them.

    Only what differs by more than the seed counts.
    """
    settings = [
        {name: value for name in keys if (value := value_of(item.run, name)) is not None} if keys else item.settings
        for item in described
    ]
    differing = varying(settings)
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for place, own in enumerate(settings):
        groups.setdefault(tuple(own.get(name) for name in differing), []).append(place)
    first = [settings[places[0]] for places in groups.values()]
    told = [{name: own[name] for name in keys if name in own and name in differing} for own in first]
    told = told if keys else telling(first)
    paired, mixed = _paired(described, list(groups.values()))
    fallback = _fallback(described)
    names_of_arms = zip(distinct_names(told, fallback), _families(told, fallback), strict=True)
    arms = [
        replace(
            _arm(name, family, setting, [paired[place] for place in places]),
            shared=_shared([described[place].settings for place in places]),
        )
        for places, setting, (name, family) in zip(groups.values(), told, names_of_arms, strict=True)
    ]
    return sorted(arms, key=lambda arm: arm.name), _mixed_note(mixed)


def _arm(name: str, family: str, settings: Mapping[str, str], runs: Sequence[Run]) -> ArmRuns:
    """Return an arm.

    One of a sweep belongs to the family of that name, unless the sweep is a grid of equals.
    """
    of_sweep = {run.tags.get(names.TAG_SWEEP_ARM) for run in runs}
    phases = {run.tags.get(names.TAG_PHASE) for run in runs}
    if phases <= {TUNING, REPEAT} and len(of_sweep) == 1:
        family = plain(of_sweep.pop() or family)
    return ArmRuns(name, family, settings, _rate(runs), tuple(runs))


def _shared(all_settings: Sequence[Settings]) -> dict[str, str]:
    """Return the settings that are the same in all runs."""
    differing = set(varying(all_settings))
    return {name: value for name, value in all_settings[0].items() if name not in differing}


def _families(told: Sequence[Mapping[str, str]], fallback: str) -> list[str]:
    """Return each arm's name without its learning rate."""
    rate = rate_of({name for settings in told for name in settings})
    without = [{name: value for name, value in settings.items() if name != rate} for settings in told]
    unique = {tuple(settings.items()): settings for settings in without}
    families = dict(zip(unique, distinct_names(list(unique.values()), fallback), strict=True))
    return [families[tuple(settings.items())] for settings in without]


def _fallback(described: Sequence[Described]) -> str:
    """Return what all runs have in common.

    It names an arm of which there is nothing else to tell.
    """
    for name in (SWEEP_ARM, "optimizer", "opt", "criterion", "loss", "model", "network"):
        values = {item.settings.get(name) for item in described}
        if len(values) == 1 and None not in values:
            return str(values.pop())
    return "runs"


def _rate(runs: Sequence[Run]) -> float:
    """Return the learning rate that all runs share, or NaN."""
    name = rate_of({name for run in runs for name in run.params})
    values = {plain(run.params.get(name, "")) for run in runs} if name else set()
    try:
        return float(values.pop()) if len(values) == 1 else math.nan
    except ValueError:
        return math.nan


def _seeds(runs: Sequence[Run], paired: Pairing, settings: Sequence[Settings]) -> tuple[tuple[str, ...], list[str]]:
    """Return what pairs runs, and a note.

    One seed for all of them is none.
    """
    arms = [tuple(sorted(own.items())) for own in settings]
    repeated = max(Counter(zip(paired.keys, arms, strict=True)).values(), default=0) > 1
    newer_counts = any(names.TAG_TRIAL_KEY in run.tags for run in runs)
    known = set(paired.keys) - {""}
    if len(known) == 1 and repeated and not newer_counts:
        note = f"All runs name the same seed ({plain(known.pop())}), so it pairs none of them."
        return ("",) * len(runs), [note]
    return paired.keys, note_on(paired)


def _paired(described: Sequence[Described], groups: Sequence[Sequence[int]]) -> tuple[list[Run], list[str]]:
    """Return runs that pair only if they share more than their seed.

    If runs of some arm differ in more than that, they must share all of it. With them comes what that is.
    """
    runs = [item.run for item in described]
    # The name that a sweep gives its arm follows from the rest. It would keep apart what is to be paired.
    settings = [{name: value for name, value in item.settings.items() if name != SWEEP_ARM} for item in described]
    mixed = {name for places in groups for name in varying([settings[place] for place in places])}
    if not mixed:
        return runs, []
    told = telling([{name: value for name, value in own.items() if name in mixed} for own in settings])
    known = sorted({name for own in told for name in own})
    unique = {tuple(own.items()): own for own in told}
    labels = dict(zip(unique, distinct_names(list(unique.values()), ""), strict=True))
    return [
        replace(run, tags={**run.tags, names.TAG_SEED: f"{seed_of(run)} {labels[tuple(own.items())]}"})
        if seed_of(run)
        else run
        for run, own in zip(runs, told, strict=True)
    ], known


def _listed(known: Sequence[str]) -> str:
    return ", ".join(known[:6]) + (" …" if len(known) > 6 else "")


def _mixed_note(mixed: Sequence[str]) -> list[str]:
    if not mixed:
        return []
    what = _listed(mixed)
    return [f"Runs of one arm differ in more than their seed ({what}), and are paired only if they share all of it."]


def _along(described: Sequence[Described], told: Sequence[str]) -> list[str]:
    """Say what else differs between arms.

    The arguments that come along with a class do not count.
    """
    settings = [item.settings for item in described]
    left = [
        name
        for name in varying(settings)
        if name not in told and parent_of(name, told) is None and SWEEP_ARM not in told
    ]
    if not left:
        return []
    return [f"Arms also differ in {_listed(left)}, which their names do not tell."]
