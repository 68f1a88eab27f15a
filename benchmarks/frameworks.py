"""One training in both frameworks on a JPEG copy of CIFAR-10: whether they end alike, and what each takes.

Run, in the folder where runs are to be kept: ``lossopt sweep --config benchmarks/frameworks.yaml --data.folder=IMAGES``
with the images in ``train/<class>/*`` and ``test/<class>/*``, then ``python -m benchmarks.frameworks``. It writes
``results/frameworks.json``; ``make docs`` renders it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import machine, write_json
from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run, read_history, read_runs

EXPERIMENT = "frameworks"
# One point of accuracy.
MARGIN = "1"


def main() -> None:
    """Compare, and write ``results/frameworks.json``."""
    options = parse(["--experiment", EXPERIMENT, "--by", "framework", "--margin", MARGIN])
    runs = [run for run in read_runs(EXPERIMENT) if names.TAG_PHASE in run.tags]
    found = compared(read_runs(EXPERIMENT), options, title=EXPERIMENT)
    print(write_json("frameworks", content(found, runs)))


def content(found: Comparison, runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the page on TensorFlow shows."""
    return {
        "data": "CIFAR-10, JPEG q75 copy",
        "machine": machine(),
        "words": list(answer(found)),
        "notes": list(found.notes),
        "seconds_ratio": _ratio(runs, names.TRAIN_SECONDS),
        "arms": [_arm(framework, runs) for framework in ("pytorch", "tensorflow")],
        "first_losses": _first_losses(runs),
    }


def _arm(framework: str, runs: Sequence[Run]) -> dict[str, Any]:
    mine = _of(framework, runs)
    return {
        "framework": framework,
        "accuracy": [run.metrics["val/accuracy"] for run in mine],
        "seconds": [run.metrics[names.TRAIN_SECONDS] for run in mine],
    }


def _ratio(runs: Sequence[Run], metric: str) -> dict[str, float]:
    """Return the ratio of TensorFlow to torch, seed by seed."""
    pairs = zip(_of("tensorflow", runs), _of("pytorch", runs), strict=True)
    ratios = [one.metrics[metric] / other.metrics[metric] for one, other in pairs]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def _first_losses(runs: Sequence[Run], steps: int = 100) -> list[float]:
    """Return the largest relative difference of the losses up to each step, over all seeds."""
    pairs = zip(_of("tensorflow", runs), _of("pytorch", runs), strict=True)
    differences = [
        abs(read_history(one.run_id, names.TRAIN_LOSS).values / read_history(other.run_id, names.TRAIN_LOSS).values - 1)
        for one, other in pairs
    ]
    return [max(float(one[:step].max()) for one in differences) for step in (1, 10, steps, len(differences[0]))]


def _of(framework: str, runs: Sequence[Run]) -> list[Run]:
    mine = [run for run in runs if run.tags.get(names.TAG_FRAMEWORK) == framework]
    return sorted(mine, key=lambda run: int(run.tags[names.TAG_SEED]))


if __name__ == "__main__":
    main()
