"""The page of accuracies after each epoch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.reference import NOTE, table
from benchmarks.tables import machine_line

# Two-sided 95 % quantiles of Student's t for 1 to 9 degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def results_page(study: dict[str, Any], last_batch: dict[str, Any], pairs: dict[str, Any], sweep: str) -> str:
    """Return the page on accuracy after each epoch, beside the plain loop's."""
    rows = [row for arm in study["arms"] for row in _arm_rows(arm)]
    accuracies = table(["config", "seeds", "", *(f"epoch {n}" for n in range(1, 6))], rows)
    kept, dropped = (_interval([run["accuracy"][1] for run in arm["runs"]]) for arm in last_batch["arms"])
    return f"""{NOTE}# Results on real images

**Data**: {study["data"]}. The images are CIFAR-10 after lossy JPEG compression, not the official archive.

Batch 64, no augmentation, one CPU thread, one fixed rate for each config. This checks that the program trains as a
hand-written loop does. It is **no comparison of optimizers**. For that, each needs its own rate, chosen with the same
budget, and more seeds.

Accuracy is given as the mean over seeds and its 95 % interval (Student's t). *Plain loop* is one run of a
hand-written PyTorch loop on the same images (seed 0), measured separately. *Difference* is lit_lossopt less the plain
loop, in points.

{accuracies}
`binary_bce` is cat against dog with one logit; chance is .500.

{sweep}
## Losses × optimizers, by the same yardsticks

The same images, three epochs, one seed. This shows whether everything trains, and is **not a comparison** (one seed,
rates not tuned). *nll*, *Brier* and *ece* are computed from the probabilities that each loss implies, floored at 1e-7
before a logarithm. Values of the losses themselves cannot be compared with each other.

{table(["loss", "optimizer", "lr", "accuracy", "nll", "Brier", "ece", "val/loss"], list(map(_pair_row, pairs["arms"])))}
## What a last, smaller batch does

50,000 images leave a last batch of 16 in each epoch. Its step has twice the gradient noise, just before the evaluation.
Plain SGD at rate 0.01, accuracy after the first epoch, the same seeds:

{table(["last batch of 16", "accuracy"], [["kept", kept], ["left out (`data.drop_last`, the default)", dropped]])}
Each epoch leaves different images out.

Command of a run: `{study["command"]}`

{machine_line(study["machine"])}"""


def _pair_row(arm: dict[str, Any]) -> list[str]:
    values = [arm[name] for name in ("accuracy", "nll", "brier", "ece", "loss")]
    return [arm["criterion"], f"`{arm['optimizer']}`", arm["lr"], *("" if v is None else _share(v) for v in values)]


def _arm_rows(arm: dict[str, Any]) -> list[list[str]]:
    accuracies = [run["accuracy"] for run in arm["runs"]]
    seeds = ", ".join(str(run["seed"]) for run in arm["runs"])
    columns = [[accuracy[epoch] for accuracy in accuracies] for epoch in range(1, 6)]
    rows = [[f"`{arm['config']}`", seeds, "lit_lossopt", *map(_interval, columns)]]
    if arm["plain_loop"]:
        differences = [statistics.mean(c) - p for c, p in zip(columns, arm["plain_loop"], strict=True)]
        rows.append(["", "", "plain loop", *(_share(value) for value in arm["plain_loop"])])
        rows.append(["", "", "difference", *(f"{100 * value:+.1f}" for value in differences)])
    return rows


def _interval(values: Sequence[float]) -> str:
    mean = statistics.mean(values)
    if len(values) < 2:
        return _share(mean)
    half = T95[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{_share(mean)} ± {_share(half)}"


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
