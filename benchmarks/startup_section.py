"""The part of the page of benchmarks on the way to the first step."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.reference import table
from benchmarks.startup import AGAIN, BEFORE, HELP, LOGGED, MISTAKE, PLAIN, TRACKED, TRIAL, UNTRACKED

Run = dict[str, Any]
# The load of the last minute, on a machine of two cores, below which nothing else can have taken a core for long.
_QUIET = 1.5
# Packages that take less are counted together.
_SMALL = 0.02


def startup_section(content: dict[str, Any]) -> str:
    """Return the part on start-up.

    Args:
        content: what ``benchmarks.startup`` wrote.
    """
    runs, has_before = content["runs"], bool(content["commit_before"])
    repeats = len(runs[TRACKED])
    commit = content["commit_before"]
    before = f"*Before* is commit `{commit}`, measured in the same repetitions.\n" if has_before else ""
    quiet = "" if content["load_after"] < _QUIET else (
        f"\n**Other programs ran on the machine throughout** (its load was {content['load_after']:.0f} on "
        f"{content['machine']['cores']} cores).\nSeconds on the clock are too long by a factor. Read the processor "
        "seconds.\n"
    )  # fmt: skip
    return f"""## Start-up

The time from a command to its first step: `lossopt fit --config digits` with one thread, each in a new folder.
{before}Medians of {repeats} repetitions. Processor seconds are those of the training's process up to its first
step. *Beside* are those of the process that works with the store.
{quiet}
{table(_HEADS, [_row(arm, runs[arm]) for arm in _arms(runs)])}
{_ratios(content["ratios"])}
Where the time goes, in seconds between two points of the way:

{_phases(runs, has_before)}
{_whole(runs)}
### What is imported, and why

Everything that a tracked training has imported when its first step is done, each package without the packages that it
imports, in processor seconds (the least of several runs). A test fails if something else is imported on the way.

{_imports(content["imports"])}
{_trials(content)}
Command: `python -m benchmarks.startup --other PATH`

{_machine(content["machine"])}"""


_HEADS = ["", "seconds to the first step", "range", "processor seconds", "range", "beside"]


def _arms(runs: dict[str, list[Run]]) -> list[str]:
    order = [name + state for name in (TRACKED, AGAIN, UNTRACKED) for state in ("", BEFORE)]
    return [arm for arm in (*order, PLAIN, LOGGED) if arm in runs]


def _row(arm: str, several: Sequence[Run]) -> list[str]:
    steps = [one["first_step"] for one in several]
    cells = [arm]
    for clock in ("wall", "processor"):
        values = [one[clock] for one in steps]
        cells += [f"**{statistics.median(values):.1f}**", f"{min(values):.1f} to {max(values):.1f}"]
    return [*cells, f"{statistics.median(one['beside'] for one in steps):.1f}"]


def _ratios(ratios: Sequence[dict[str, Any]]) -> str:
    rows = [
        [one["name"], f"**{one['median']:.2f}**", f"{one['low']:.2f} to {one['high']:.2f}", str(one["repeats"])]
        for one in ratios
    ]
    return table(["ratio of seconds to the first step", "median", "range", "repetitions"], rows)


def _phases(runs: dict[str, list[Run]], has_before: bool) -> str:
    states = ["", BEFORE] if has_before else [""]
    heads = ["", *(f"{clock}{state}" for state in states for clock in ("on the clock", "processor"))]
    rows = []
    for phase in runs[TRACKED][0]["phases"]:
        cells = [phase]
        for state in states:
            for clock in ("wall", "processor"):
                values = [one["phases"][phase][clock] for one in runs[TRACKED + state]]
                cells.append(f"{statistics.median(values):.2f}")
        rows.append(cells)
    return table(heads, rows)


def _whole(runs: dict[str, list[Run]]) -> str:
    asked, wrong = (statistics.median(one["whole"]["processor"] for one in runs[arm]) for arm in (HELP, MISTAKE))
    return (
        f"What needs none of this answers at once: `lossopt fit --help` takes {asked:.2f} processor seconds in all,\n"
        f"and the message about a misspelt key {wrong:.2f}.\n"
    )


def _imports(imports: dict[str, list[Run]]) -> str:
    earlier = {one["package"]: one["seconds"] for one in imports.get(BEFORE, [])}
    now = imports[""]
    gone = [name for name in earlier if name not in {one["package"] for one in now}]
    rows = [
        [one["package"], f"{one['seconds']:.2f}", str(one["modules"]), one["reason"]]
        for one in now
        if one["seconds"] >= _SMALL
    ]
    small = [one for one in now if one["seconds"] < _SMALL]
    rows.append([
        f"{len(small)} smaller ones", f"{sum(one['seconds'] for one in small):.2f}",
        str(sum(one["modules"] for one in small)), ", ".join(sorted(one["package"] for one in small)),
    ])  # fmt: skip
    shown = table(["package", "processor seconds", "modules", "why"], rows)
    if not gone:
        return shown
    named = ", ".join(sorted(gone, key=lambda name: -earlier[name])[:8])
    seconds = sum(earlier[name] for name in gone)
    took = f"{len(gone)} packages with {seconds:.1f} processor seconds"
    return f"{shown}\nNo longer imported are {took},\namong them {named}.\n"


def _trials(content: dict[str, Any]) -> str:
    heads = [
        "",
        "seconds from fork to first step",
        "range",
        "processor seconds",
        "range",
        "outside its steps",
        "trials",
    ]
    rows = []
    for state in ("", BEFORE):
        sweeps = content["trials"].get(f"{TRIAL}{state}", [])
        starts = [one for sweep in sweeps for one in sweep["starts"]]
        if not starts:
            continue
        outside = statistics.median(seconds for sweep in sweeps for seconds in sweep["outside"])
        cells = [f"{TRIAL}{state}"]
        for clock in ("wall", "processor"):
            values = [one[clock] for one in starts]
            cells += [f"**{statistics.median(values):.2f}**", f"{min(values):.2f} to {max(values):.2f}"]
        rows.append([*cells, f"{outside:.2f}", str(len(starts))])
    wanted, count = content["wanted_trial"], content["trials_a_sweep"]
    return f"""### A trial of a sweep

A trial is forked from a process that has imported everything. Wanted is less than {wanted:g} s from the fork to the
first step. *Outside its steps* is the whole trial but for its training: start, evaluations, a picture of its confusion
matrix, and delivery to the store. Sweeps of {count} trials of one step, one after another, in an experiment that is
there.

{table(heads, rows)}"""


def _machine(machine: dict[str, Any]) -> str:
    parts = [f"{name} {value}" for name, value in machine.items() if name not in ("processor", "cores")]
    return f"Machine: {machine['processor']}, {machine['cores']} cores; {', '.join(parts)}.\n"
