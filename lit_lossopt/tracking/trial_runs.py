"""Trials of a sweep that came to their end.

Journals are read here, without MLflow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_lossopt.core import names
from lit_lossopt.core.names import RESULTS
from lit_lossopt.tracking.journal_reading import LOG, iterate_entries


@dataclass(frozen=True)
class TrialRun:
    """A trial's run that came to its end.

    Attributes:
        run_id: its id.
        verdict: one of ``RESULTS``.
        accuracies: on the validation split, in the order of steps.
        seconds: from start to end.
        tags: its tags.
        metrics: the last value of each metric.
        artifacts: the address of its artifacts.
        last_step: of its last evaluation.
    """

    run_id: str
    verdict: str
    accuracies: tuple[float, ...]
    seconds: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: str = ""
    last_step: int = 0


@dataclass(frozen=True)
class EndedTrial:
    """A trial that came to its end in this folder.

    Attributes:
        key: the trial's, within its sweep.
        arm: its arm.
        phase: its phase.
        seconds: how long it took, or NaN if it was interrupted meanwhile.
    """

    key: str
    arm: str
    phase: str
    seconds: float


def ended_here(experiment: str) -> list[EndedTrial]:
    """Return the ended trials of an experiment, from the journals here."""
    trials = []
    for folder in Path(names.JOURNAL_FOLDER).glob("*"):
        header = read_header(folder)
        tags = dict(header.get("tags", {}))
        if header.get("experiment") != experiment or names.TAG_SWEEP_KEY not in tags:
            continue
        entries = list(iterate_entries(folder))
        for entry in entries:
            tags |= entry["tags"] if entry["kind"] == "tags" else {}
        ends = [entry["milliseconds"] for entry in entries if entry["kind"] == "end"]
        if ends and tags.get(names.TAG_VERDICT) in RESULTS:
            whole = all(entry["kind"] != "running" for entry in entries)
            seconds = seconds_between(header["milliseconds"], ends[-1]) if whole else math.nan
            trials.append(
                EndedTrial(tags[names.TAG_SWEEP_KEY], tags[names.TAG_SWEEP_ARM], tags[names.TAG_PHASE], seconds)
            )
    return trials


def seconds_between(start: int, end: int) -> float:
    """Return the seconds between two times in milliseconds.

    They are NaN if the clock was set back between them.

    >>> seconds_between(1000, 2500), seconds_between(2500, 1000)
    (1.5, nan)
    """
    return (end - start) / 1000 if end >= start else math.nan


def read_header(folder: Path) -> dict[str, Any]:
    """Return the entry that says which run a journal is of, or nothing."""
    first = next(iterate_entries(folder), {}) if (folder / LOG).is_file() else {}
    return first if first.get("kind") == "run" else {}
