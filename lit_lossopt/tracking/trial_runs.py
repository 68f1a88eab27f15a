"""Trials of a sweep as they came to their end, and how long they took. Imports no mlflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_lossopt import names
from lit_lossopt.tracking.journal import LOG, iterate_entries


@dataclass(frozen=True)
class TrialRun:
    """A trial's run that came to its end.

    Attributes:
        run_id: its id.
        verdict: ``completed``, ``collapsed`` or ``diverged``.
        accuracies: on the validation split, in the order of steps.
        seconds: from start to end.
        tags: its tags.
        metrics: the last value of each metric.
        artifacts: the address of its artifacts.
    """

    run_id: str
    verdict: str
    accuracies: tuple[float, ...]
    seconds: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: str = ""


def seconds_of_ended(experiment: str) -> list[float]:
    """Return how long the trials of an experiment took, as the journals in this folder tell."""
    found = []
    for folder in Path(names.JOURNAL_FOLDER).glob("*"):
        header = read_header(folder)
        if header.get("experiment") == experiment and names.TAG_SWEEP_KEY in header["tags"]:
            ends = [entry for entry in iterate_entries(folder) if entry["kind"] == "end"]
            if ends and ends[-1]["status"] == "FINISHED":
                found.append((ends[-1]["milliseconds"] - header["milliseconds"]) / 1000)
    return found


def read_header(folder: Path) -> dict[str, Any]:
    """Return the first entry of a journal, which says what run it is, or nothing where there is none."""
    first = next(iterate_entries(folder), {}) if (folder / LOG).is_file() else {}
    return first if first.get("kind") == "run" else {}
