"""The part of docs/gpu.md with what was measured on a GPU."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.reference import table


def gpu_section(content: dict[str, Any]) -> str:
    """Return the name of the GPU, a table for each batch size, and what trials get that share the GPU."""
    machine, request = content["machine"], content["request"]
    name = machine["gpu"] or f"no GPU, but {machine['processor']}"
    memory = f" ({machine['gpu_memory_gib']} GiB, CUDA {machine['cuda']})" if machine["gpu"] else ""
    return f"""
Measured on **{name}**{memory}, torch {machine["torch"]}: medians [lowest to highest] of {request["repeats"]}
interleaved repetitions of {request["steps"]} steps, behind {request["warm_up"]} steps of warm-up
(`python -m benchmarks.gpu`).

{"".join(_of_batch(result) for result in content["results"])}
{_shared(content["shared"])}"""


def _of_batch(result: dict[str, Any]) -> str:
    rows = [[name, _spread(result["wall"][name]), _spread(result["processor"][name])] for name in result["wall"]]
    rates = table(["", "steps a second", "steps a processor second"], rows)
    ratios = table(
        ["ratio of steps a second", "median", "lowest to highest"],
        [[one["name"], f"{one['median']:.2f}", f"{one['low']:.2f} to {one['high']:.2f}"] for one in result["ratios"]],
    )
    return f"Batches of {result['batch']}:\n\n{rates}\n{ratios}\n"


def _shared(result: dict[str, Any]) -> str:
    if not result["wall"]:
        return ""
    rows = [[trials, _spread(rates)] for trials, rates in result["wall"].items()]
    return f"Trials that share the device, batches of {result['batch']}:\n\n" + table(
        ["trials at once", "steps a second of all together"], rows
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} [{min(values):.0f} to {max(values):.0f}]"
