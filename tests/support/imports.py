"""What tests of ``lossopt import`` share."""

from __future__ import annotations

from lit_lossopt.__main__ import main
from lit_lossopt.tracking.reading.runs import Run, read_runs


def imported(*words: object) -> list[Run]:
    """Import, and return all runs of the default experiment with their histories."""
    assert main(["import", *map(str, words)]) == 0
    return read_runs("imported", metrics=None)


def points(run: Run, metric: str) -> list[tuple[int, float]]:
    """Return the steps and values of a metric."""
    return list(zip(run.histories[metric].steps.tolist(), run.histories[metric].values.tolist(), strict=True))
