"""The sweep of ``benchmarks/sweep_cifar10_jpeg.yaml``, compared: words and numbers into JSON, figures as PNG.

Run, in the folder where the sweep's runs are kept: ``lossopt sweep --config FILE --data.folder=IMAGES`` with the file
above and CIFAR-10 as a JPEG copy in the layout of image folders, then ``python -m benchmarks.sweep_study``.
"""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, write_json
from lit_lossopt.comparison.comparison import Arm, Comparison, Contrast, Estimate, Sensitivity
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared
from lit_lossopt.comparison.report.paper_figures import write_figures
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run, read_runs

EXPERIMENT = "sweep_cifar10_jpeg"
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
SHOWN = ("metric", "sensitivity")


def main() -> None:
    """Compare, write ``results/sweep_cifar10_jpeg.json``, and keep the figures."""
    study(EXPERIMENT, {name: f"{EXPERIMENT}_{name}" for name in SHOWN})


def study(experiment: str, pictures: Mapping[str, str]) -> None:
    """Compare a sweep, write its results, and keep some of its figures.

    Args:
        experiment: of the sweep.
        pictures: name of a figure → what its file is called in ``docs/pictures``.
    """
    words = ["--experiment", experiment, "--filter", f"tags.`{names.TAG_PHASE}` != '{names.ASIDE}'"]
    options = parse(words)
    runs = [run for run in read_runs(experiment, options.filter, deleted=True) if names.TAG_PHASE in run.tags]
    found = compared(runs, options, title=experiment)
    print(write_json(experiment, content(found, runs)))
    with tempfile.TemporaryDirectory() as folder:
        for path in write_figures(found, Path(folder), formats=("png",)):
            name = path.stem.split("_")[0]
            if name in pictures:
                print(shutil.copy(path, PICTURES / f"{pictures[name]}.png"))


def content(found: Comparison, runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the page of results shows."""
    hours = (max(run.end or 0 for run in runs) - min(run.start or 0 for run in runs)) / 3_600_000
    return {
        "machine": machine(),
        "data": "CIFAR-10, JPEG q75 copy",
        "words": list(answer(found)),
        "target": found.target,
        "target_origin": found.target_origin,
        "runs": len(runs),
        "hours": hours,
        "notes": list(found.notes),
        "arms": [arm_row(arm, runs) for arm in found.arms],
        "contrasts": [contrast_row(one) for one in (*found.finals, *found.speeds)],
        "sensitivity": [sensitivity_row(one) for one in found.sensitivity],
    }


def arm_row(arm: Arm, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the numbers of an arm; accuracies on the test images are those of the tests of its repeats."""
    mine = {trial.run.run_id for trial in arm.trials}
    test = names.metric(names.TEST, "accuracy")
    tested = [run.metrics[test] for run in runs if run.run_id in mine and test in run.metrics]
    return {
        "name": arm.name,
        "n": len(arm.trials),
        "final": estimate(arm.final),
        "steps_to_target": estimate(arm.steps_to_target),
        "reached": arm.reached,
        "ripple": estimate(arm.ripple),
        "scores": {name: estimate(value) for name, value in arm.scores.items() if name.startswith(names.VAL)},
        "test_accuracy": {"value": statistics.fmean(tested), "deviation": statistics.stdev(tested), "n": len(tested)}
        if len(tested) > 1
        else None,
    }


def contrast_row(one: Contrast) -> dict[str, Any]:
    """Return what was found between two arms."""
    return {
        "first": one.first, "second": one.second, "quantity": one.quantity, "difference": estimate(one.difference),
        "p_adjusted": finite(one.p_adjusted), "pairs": one.difference.n, "claimed": one.claimed,
    }  # fmt: skip


def sensitivity_row(one: Sensitivity) -> dict[str, Any]:
    """Return what an arm did at each learning rate."""
    return {
        "family": one.family, "rates": one.rates.tolist(), "finals": [finite(value) for value in one.finals.tolist()],
        "best_rate": one.best_rate, "decades": finite(one.decades), "open_low": one.open_low,
        "open_high": one.open_high, "diverging": finite(one.diverging),
    }  # fmt: skip


def estimate(one: Estimate) -> Mapping[str, Any]:
    """Return a value and its interval; what is not a number, or never was reached, is null."""
    return {"value": finite(one.value), "low": finite(one.low), "high": finite(one.high), "n": one.n}


def finite(value: float) -> float | None:
    """Return a number that JSON has, or None."""
    return float(value) if math.isfinite(value) else None


if __name__ == "__main__":
    main()
