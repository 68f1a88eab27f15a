"""The measured part of the page on landscapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.reference import table


def landscape_section(found: Mapping[str, Any]) -> str:
    """Return the table of what a grid takes."""
    rows = [
        [
            name,
            f"{case['processor_seconds']:,.0f} s",
            f"{case['wall_seconds']:,.0f} s",
            f"{case['over_plain']:.2f}",
            f"{case['megabytes']:,.0f} MB",
        ]
        for name, case in found["cases"].items()
    ]
    heads = ["images", "processor time", "wall time", "over plain passes", "memory of the process"]
    points = found["points"]
    return f"""{table(heads, rows)}
MiniCNN, {points} × {points} points, one thread. “Over plain passes” is the processor time over that of as many passes
of the network over the same images, in the same process. Most of the memory is torch itself. Other work ran on the
machine, so the wall time is an upper bound. Made by `python -m benchmarks.landscape`."""
