"""The part of the page of benchmarks on live tracking."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.reference import table

# The load of the last minute below which no other program can have taken part of a core for long.
_QUIET = 0.5
_NOTHING_ELSE = "Nothing else ran on the machine."
_OTHER_PROGRAMS = "**Other programs ran on the machine throughout**, so that none of this was measured on a quiet one."


def live_section(content: dict[str, Any], ratios: Callable[[dict[str, Any], str], str]) -> str:
    """Return the part on lag and cost.

    Args:
        content: what ``benchmarks.live`` wrote.
        ratios: gives the table of ratios of what a command wrote.
    """
    rows = [
        [
            row["store"],
            f"{row['busy']} busy processes" if row["busy"] else "nothing more",
            f"{row['values']:,}",
            f"{row['median']:.1f}",
            f"{row['p95']:.1f}",
            f"**{row['worst']:.1f}**",
            f"{row['load_after']:.0f}",
        ]
        for row in content["lags"]
    ]
    heads = ["store", "beside it", "values", "median seconds", "95 % below", "worst", "load of the machine"]
    beside = content["beside_seconds"]
    start = statistics.median(run["before_first_step"] for run in content["runs"]["tracked"])
    without = statistics.median(run["before_first_step"] for run in content["runs"]["nothing tracked"])
    first, steps = content["first"], content["steps"]
    quiet = content["load_before"] < _QUIET
    return f"""## Values while training goes on

Seconds from a step to the moment when its loss is in the store, of every step of trainings of {content["seconds"]}
seconds on the embedded digits (one thread), the first step included. Wanted is at most {content["worst_wanted"]:g}.
{_NOTHING_ELSE if quiet else _OTHER_PROGRAMS}
The machine has {content["machine"]["cores"]} cores. Its load at the end of each training stands in the last column.

{table(heads, rows)}
The cost, from the first step on in a new folder, against the same command with nothing tracked. A tracked training also
measures the probe loss, most often at its beginning. That is separate work and has nothing to do with the store. A
second arm is tracked too and measures no probe loss (`--probe.images=0`). What it loses is the price of keeping the
values.
The process that works with the store takes {beside[str(first)]:.1f} s of processor time beside the first {first} steps
and {beside[str(steps)]:.1f} s beside all {steps:,} (median). The rows with processor seconds leave it out.
From the command to the first step it takes {start:.1f} s tracked and {without:.1f} s untracked (median). The store and
the run in it are made before the first step.

{ratios(content, "python -m benchmarks.live")}"""
