"""Interleaved, repeated measurements, and medians of ratios.

Machines are shared and drift by tens of per cent within a minute, so a time alone says little. Here every repetition
runs all arms one after the other, in an order that rotates; ratios are taken within a repetition, and their median and
range are reported.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Measure = Callable[[], float]


@dataclass(frozen=True)
class Ratio:
    """The median over repetitions of one arm's value over another's, with the smallest and largest."""

    name: str
    median: float
    low: float
    high: float
    repeats: int
    wanted: float | None = None


def interleave(arms: Mapping[str, Measure], repeats: int) -> dict[str, list[float]]:
    """Return each arm's values, one a repetition; the arm that begins changes with each repetition."""
    names = list(arms)
    values: dict[str, list[float]] = {name: [] for name in names}
    for repetition in range(repeats):
        shift = repetition % len(names)
        for name in names[shift:] + names[:shift]:
            values[name].append(arms[name]())
            print(f"  {repetition + 1}/{repeats} {name}: {values[name][-1]:.1f}", flush=True)
    return values


def ratio(name: str, top: list[float], bottom: list[float], wanted: float | None = None) -> Ratio:
    """Return the median of the ratios taken repetition by repetition."""
    ratios = [a / b for a, b in zip(top, bottom, strict=True)]
    return Ratio(name, statistics.median(ratios), min(ratios), max(ratios), len(ratios), wanted)


def write(name: str, values: Mapping[str, list[float]], unit: str, ratios: list[Ratio], **more: Any) -> Path:
    """Write ``results/<name>.json``, with ``more`` beside the values, and return its path."""
    content = {
        "machine": machine(),
        "unit": unit,
        "medians": {arm: statistics.median(numbers) for arm, numbers in values.items()},
        "values": values,
        "ratios": [asdict(item) for item in ratios],
        **more,
    }
    return write_json(name, content)


def write_json(name: str, content: Mapping[str, Any]) -> Path:
    """Write ``results/<name>.json`` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def machine() -> dict[str, Any]:
    """Return what a reader needs to judge a number: processor, cores, versions."""
    model = "unknown"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    packages = {name: version(name) for name in ("torch", "lightning", "mlflow")}
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version(), **packages}
