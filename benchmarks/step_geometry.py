"""Step geometry of four optimizers, beside what the comparison measures of their oscillation.

Run: ``python -m benchmarks.step_geometry FOLDER``. FOLDER holds the JPEG copy of CIFAR-10 (``train/<class>/*``). SGD,
SGD with momentum, Adam and RMSprop train with the rates of the shipped configs, and SGD with momentum at ten times its
rate too. On the digits it is five seeds of ten epochs, on the images of CIFAR-10 two seeds of one epoch. α and the
share of steps that raise the loss of their own batch come from the diagnostics, at every fifth step. Climb-back and
ripple are those of ``lossopt compare``. It writes ``results/step_geometry.json``.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import machine, write_json
from lit_lossopt.__main__ import main as program
from lit_lossopt.comparison.comparison import Arm
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared, find_runs
from lit_lossopt.core import names

ARMS = {
    "SGD": ["--config=sgd"],
    "momentum": ["--config=sgd_momentum"],
    "Adam": ["--config=adam"],
    "RMSprop": ["--config=rmsprop"],
    "momentum, ten times the rate": ["--config=sgd_momentum", "--model.optimizer.lr=0.1"],
}


def train(experiment: str, data: list[str], seeds: int) -> None:
    """Train every arm with every seed."""
    for name, words in ARMS.items():
        for seed in range(seeds):
            own = [f"--seed_everything={seed}", f"--tracking.tags={{arm: '{name}'}}", "--diagnostics=alpha@every:5"]
            command = ["fit", *words, *data, *own, "--threads=1", f"--tracking.experiment={experiment}"]
            if program(command) not in {0, 3}:
                raise SystemExit(f"did not train: {' '.join(command)}")


def rows(experiment: str) -> list[dict[str, Any]]:
    """Return what was measured of each arm."""
    options = parse(["--experiment", experiment, "--by", "arm"])
    comparison = compared(find_runs(options).runs, options, experiment)
    return [_row(arm) for arm in comparison.arms]


def _row(arm: Arm) -> dict[str, Any]:
    runs = [trial.run for trial in arm.trials]
    alphas = [float(np.median(run.histories[names.ALPHA].values)) for run in runs if names.ALPHA in run.histories]
    raised = [float(np.mean(run.histories[names.LOSS_CHANGE].values > 0)) for run in runs]
    return {
        "arm": arm.name, "runs": len(runs), "verdicts": dict(arm.verdicts), "final": arm.final.value,
        "alpha": statistics.median(alphas), "raised": statistics.fmean(raised), "climb_back": arm.climb_back.value,
        "ripple": arm.ripple.value,
    }  # fmt: skip


def main(folder: str) -> None:
    """Train, measure and write."""
    home, images = Path.cwd(), Path(folder).resolve()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        train("digits", ["--config=digits", "--trainer.max_epochs=10"], 5)
        real = ["--config=image_folder", f"--data.folder={images}", "--trainer.max_epochs=1"]
        train("cifar", [*real, "--trainer.val_check_interval=40"], 2)
        found = {"digits, ten epochs": rows("digits"), "CIFAR-10, JPEG q75 copy, one epoch": rows("cifar")}
        os.chdir(home)
    for data, arms in found.items():
        print(data, *arms, sep="\n  ")
    print(write_json("step_geometry", {"machine": machine(), "data": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
