"""From runs to arms: all runs that differ by their seed alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lit_lossopt import names
from lit_lossopt.compare.arm_names import distinct_names, short_names, telling
from lit_lossopt.compare.comparison import ArmRuns
from lit_lossopt.compare.settings import (
    SWEEP_ARM,
    parent_of,
    plain,
    rate_of,
    resolve,
    seed_parameter,
    settings_of,
    value_of,
    varying,
)
from lit_lossopt.tracking.runs import Run

TUNING, REPEAT = "tuning", "repeat"


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


def group(runs: Sequence[Run], by: Sequence[str] = ()) -> Grouping:
    """Return runs in arms.

    Where a sweep has repeated what it tuned, the tuning trials stand apart: picked as the best of many, they would
    flatter. Without ``by`` everything that differs makes an arm, but for seeds and machines.

    Args:
        runs: those that count, with their histories.
        by: short names of parameters or tags.

    Raises:
        UserError: a name that no run has, or that can mean several.
    """
    phases = {run.tags.get(names.TAG_PHASE) for run in runs}
    apart = TUNING in phases and phases != {TUNING}
    compared = [run for run in runs if not (apart and run.tags.get(names.TAG_PHASE) == TUNING)]
    tuned = [run for run in runs if apart and run.tags.get(names.TAG_PHASE) == TUNING]
    notes = []
    if phases == {TUNING}:
        notes.append("There are tuning trials only, no repeats yet: the best of many tries is no fair sample.")
    compared, seed_notes = _with_seeds(compared)
    keys = [resolve(word, runs) for word in by]
    arms, mixed = _arms(compared, keys)
    tuning, _ = _arms(tuned, keys)
    known = list(dict.fromkeys(name for arm in arms for name in arm.settings))
    told = tuple(by) or tuple(short_names(known).values())
    along = [] if by else _along(compared, known)
    return Grouping(tuple(arms), tuple(tuning), told, (*notes, *seed_notes, *mixed, *along))


def _arms(runs: Sequence[Run], keys: Sequence[str]) -> tuple[list[ArmRuns], list[str]]:
    """Return arms, and how runs within them differ by more than their seed."""
    settings = [_chosen(run, keys) if keys else settings_of(run) for run in runs]
    differing = varying(settings)
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for place, found in enumerate(settings):
        groups.setdefault(tuple(found.get(name) for name in differing), []).append(place)
    first = [settings[places[0]] for places in groups.values()]
    told = [{name: found[name] for name in keys if name in found and name in differing} for found in first]
    told = told if keys else telling(first)
    paired, mixed = _paired(runs, list(groups.values()))
    found_names = zip(distinct_names(told, _fallback(runs)), _families(told, runs), strict=True)
    arms = [
        _arm(name, family, setting, [paired[place] for place in places])
        for places, setting, (name, family) in zip(groups.values(), told, found_names, strict=True)
    ]
    return sorted(arms, key=lambda arm: arm.name), _mixed_note(mixed)


def _arm(name: str, family: str, settings: Mapping[str, str], runs: Sequence[Run]) -> ArmRuns:
    """Return an arm; one of a sweep belongs to the family of that name, unless the sweep is a grid of equals."""
    of_sweep = {run.tags.get(names.TAG_SWEEP_ARM) for run in runs}
    phases = {run.tags.get(names.TAG_PHASE) for run in runs}
    if phases <= {TUNING, REPEAT} and len(of_sweep) == 1:
        family = plain(of_sweep.pop() or family)
    return ArmRuns(name, family, settings, _rate(runs), tuple(runs))


def _chosen(run: Run, keys: Sequence[str]) -> dict[str, str]:
    found = {name: value_of(run, name) for name in keys}
    return {name: value for name, value in found.items() if value is not None}


def _families(told: Sequence[Mapping[str, str]], runs: Sequence[Run]) -> list[str]:
    """Return each arm's name without its learning rate."""
    rate = rate_of({name for settings in told for name in settings})
    without = [{name: value for name, value in settings.items() if name != rate} for settings in told]
    unique = {tuple(settings.items()): settings for settings in without}
    families = dict(zip(unique, distinct_names(list(unique.values()), _fallback(runs)), strict=True))
    return [families[tuple(settings.items())] for settings in without]


def _fallback(runs: Sequence[Run]) -> str:
    """Return what all runs have in common, for an arm of which there is nothing else to tell."""
    for name in (SWEEP_ARM, "optimizer", "opt", "criterion", "loss", "model", "network"):
        values = {settings_of(run).get(name) for run in runs}
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


def _with_seeds(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Return runs with what pairs them as the tag of seeds; one seed for all of them is none."""
    seeds = [seed_parameter(run) for run in runs]
    arms = [tuple(sorted(settings_of(run).items())) for run in runs]
    repeated = max(Counter(zip(seeds, arms, strict=True)).values(), default=0) > 1
    newer_counts = any(names.TAG_TRIAL_KEY in run.tags for run in runs)
    if len(set(seeds)) == 1 and seeds[0] and repeated and not newer_counts:
        note = f"All runs name the same seed ({plain(seeds[0])}), so it pairs none of them."
        return [_without_seed(run) for run in runs], [note]
    return [
        replace(run, tags={**run.tags, names.TAG_SEED: seed}) if seed else run
        for run, seed in zip(runs, seeds, strict=True)
    ], []


def _without_seed(run: Run) -> Run:
    params = {name: value for name, value in run.params.items() if name != "seed"}
    return replace(run, params=params, tags={name: text for name, text in run.tags.items() if name != names.TAG_SEED})


def _paired(runs: Sequence[Run], groups: Sequence[Sequence[int]]) -> tuple[list[Run], list[str]]:
    """Return runs that pair only where they share all in which the runs of some arm differ, and what that is."""
    settings = [settings_of(run) for run in runs]
    mixed = {name for places in groups for name in varying([settings[place] for place in places])}
    if not mixed:
        return list(runs), []
    told = telling([{name: value for name, value in found.items() if name in mixed} for found in settings])
    known = sorted({name for found in told for name in found})
    unique = {tuple(found.items()): found for found in told}
    labels = dict(zip(unique, distinct_names(list(unique.values()), ""), strict=True))
    return [
        replace(run, tags={**run.tags, names.TAG_SEED: f"{seed_parameter(run)} {labels[tuple(found.items())]}"})
        if seed_parameter(run)
        else run
        for run, found in zip(runs, told, strict=True)
    ], known


def _mixed_note(mixed: Sequence[str]) -> list[str]:
    if not mixed:
        return []
    shown = ", ".join(mixed[:6]) + (" …" if len(mixed) > 6 else "")
    return [f"Runs of one arm differ in more than their seed ({shown}): they are paired where they share all of it."]


def _along(runs: Sequence[Run], told: Sequence[str]) -> list[str]:
    """Say what else differs between arms, apart from the arguments that come along with a class."""
    settings = [settings_of(run) for run in runs]
    left = [
        name
        for name in varying(settings)
        if name not in told and parent_of(name, told) is None and SWEEP_ARM not in told
    ]
    if not left:
        return []
    shown = ", ".join(left[:6]) + (" …" if len(left) > 6 else "")
    return [f"Arms also differ in {shown}, which their names do not tell."]
