"""The part of the page of benchmarks on live tracking."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.reference import table


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
    return f"""## Values while training goes on

Seconds from a step to the moment when its loss is in the store, of every step of trainings of {content["seconds"]}
seconds on the embedded digits (one thread), the first step included; wanted: at most {content["worst_wanted"]:g}.
**Other programs ran on the machine throughout** (the load at the end of each training stands in the last column; it has
{content["machine"]["cores"]} cores), so that none of this was measured on a quiet one.

{table(heads, rows)}
The cost, from the first step on in a new folder, against the same command with nothing tracked. Both cores were taken
by other programs, so wall time tells how these came and went as much as what tracking costs; processor time tells more.
The process that works with the store takes {beside[str(first)]:.1f} s of processor time beside the first {first} steps
and {beside[str(steps)]:.1f} s beside all {steps:,} (median); rows two and four are of the training's own process.
From the command to the first step it takes {start:.1f} s tracked and {without:.1f} s untracked (median): the store is
made, and the run in it, before.

{ratios(content, "python -m benchmarks.live")}"""
