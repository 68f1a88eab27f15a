"""The part of docs/importing.md on how long an import takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.reference import table

_KINDS = {
    "one_metric": "`metrics.csv`, one metric",
    "tables": "`metrics.csv`, three metrics",
    "events": "event files of TensorBoard, one metric",
}


def importing_section(content: dict[str, Any], ratios: Callable[[dict[str, Any], str], str]) -> str:
    """Return the ratio to MLflow's own calls, and the time of the whole command."""
    rows = [
        [_KINDS[found["kind"]], f"{found['points']:,}", f"{found['seconds']:.0f}", f"{found['processor_seconds']:.0f}"]
        for found in content["whole"]
    ]
    return f"""
Writing alone, by both ways:

{ratios(content, "python -m benchmarks.importing")}
The whole command in a process of its own, for {content["runs"]} runs of {content["steps"]:,} steps. Other programs were
running on the machine (load {content["load"]:.1f}), so processor time tells more than wall time:

{table(["files", "points", "seconds", "processor seconds"], rows)}"""
