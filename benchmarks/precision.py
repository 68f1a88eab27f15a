"""Whether a training under bf16 autocast ends where it ends in float32, with paired seeds on the digits.

Run, in the folder where runs are to be kept: ``lossopt sweep --config benchmarks/precision.yaml``, then
``python -m benchmarks.precision``. It writes ``results/precision.json``; ``make docs`` renders it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import machine, write_json
from benchmarks.reference import table
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.core import names
from lit_lossopt.core.machine import has_bf16_units
from lit_lossopt.tracking.reading.runs import Run, read_runs

EXPERIMENT = "precision"
# One point of accuracy.
MARGIN = "1"
LEVELS = ("float32", "bf16")


def main() -> None:
    """Compare, and write ``results/precision.json``."""
    options = parse(["--experiment", EXPERIMENT, "--by", "precision", "--margin", MARGIN])
    runs = [run for run in read_runs(EXPERIMENT) if names.TAG_PHASE in run.tags]
    found = compared(read_runs(EXPERIMENT), options, title=EXPERIMENT)
    content = {
        "machine": machine(),
        "bf16_units": has_bf16_units(),
        "words": list(answer(found)),
        "arms": [_arm(level, runs) for level in LEVELS],
        "seconds_ratio": _ratio(runs),
    }
    print(write_json("precision", content))


def _arm(level: str, runs: Sequence[Run]) -> dict[str, Any]:
    mine = _of(level, runs)
    return {
        "precision": level,
        "accuracy": [run.metrics["val/accuracy"] for run in mine],
        "nll": [run.metrics["val/nll"] for run in mine],
    }


def _ratio(runs: Sequence[Run]) -> dict[str, float]:
    """Return training seconds under bf16 over those in float32, seed by seed."""
    pairs = zip(_of("bf16", runs), _of("float32", runs), strict=True)
    ratios = [one.metrics[names.TRAIN_SECONDS] / other.metrics[names.TRAIN_SECONDS] for one, other in pairs]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def _of(level: str, runs: Sequence[Run]) -> list[Run]:
    mine = [run for run in runs if (run.params.get("trainer.precision") == "bf16-mixed") == (level == "bf16")]
    return sorted(mine, key=lambda run: int(run.tags[names.TAG_SEED]))


def precision_section(found: dict[str, Any]) -> str:
    """Return the part of the page on performance about bf16."""
    rows = [
        [
            arm["precision"],
            str(len(arm["accuracy"])),
            _mean([100 * value for value in arm["accuracy"]], 1),
            _mean(arm["nll"], 3),
        ]
        for arm in found["arms"]
    ]
    heads = ["precision", "seeds", "validation accuracy, % (standard deviation)", "nll (standard deviation)"]
    ratio = found["seconds_ratio"]
    units = "has units for bf16" if found["bf16_units"] else "has no units for bf16"
    return f"""{table(heads, rows)}
The digits, Adam at 1e-3, 20 epochs, the same seeds. {" ".join(found["words"])}

The processor ({found["machine"]["processor"]}) {units}. Training took {ratio["median"]:.1f} times the
seconds of float32 (median of pairs, {ratio["low"]:.1f} to {ratio["high"]:.1f}), beside other programs.
"""


def _mean(values: Sequence[float], digits: int) -> str:
    return f"{statistics.fmean(values):.{digits}f} ({statistics.stdev(values):.{digits}f})"


if __name__ == "__main__":
    main()
