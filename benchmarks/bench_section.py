"""The part of the page on performance that shows what ``lossopt bench`` found on one machine."""

from __future__ import annotations

import shlex
from typing import Any

from benchmarks.reference import table

# The load of the last minute below which no other program can have taken part of a core for long.
_QUIET = 0.5


def bench_section(content: dict[str, Any]) -> str:
    """Return the part on one machine.

    Args:
        content: what ``lossopt bench --json`` wrote.
    """
    machine, several = content["machine"], content["several_at_once"]
    rows = [
        [f"`{one['name']}`" if one["words"] else one["name"], *_numbers(one), str(one["repetitions"])]
        for one in content["candidates"]
    ]
    if "count" in several:
        rows.append([f"{several['count']} trainings at once", *_numbers(several), str(several["repetitions"])])
    words = " ".join(content["recommended"])
    load = content["load_before"]
    return f"""## On one machine

`lossopt bench {shlex.join(content["settings"])}` on {machine["processor"]}, {machine["cores"]} cores,
torch {machine["torch"]}: {content["training"]}.
{"Nothing else ran on the machine." if load < _QUIET else f"**Other programs kept {load:.1f} cores busy.**"}
{f"Recommended was `{words}`." if words else "Nothing was recommended."}
The ratio of trainings at once is that to one training with as many threads.

{table(["setting", "steps/s", "ratio [range]", "CPU s a step", "repetitions"], rows)}"""


def _numbers(one: dict[str, Any]) -> list[str]:
    ratio = f"{one['ratio']:.2f} [{one['low']:.2f} to {one['high']:.2f}]"
    return [f"{one['rate']:.1f}", ratio, f"{one['processor']:.4f}"]
