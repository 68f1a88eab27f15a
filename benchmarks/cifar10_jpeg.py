"""The shipped configs on a JPEG copy of CIFAR-10, epoch by epoch, against a plain hand-written loop.

Run: ``LOSSOPT_IMAGE_FOLDER=path/to/images python -m benchmarks.cifar10_jpeg`` with the images in ``train/<class>/*``
and ``test/<class>/*`` (about twenty minutes on two cores). Each trial is the command that a person would type, with
one thread, two at a time. Writes ``results/cifar10_jpeg.json``; ``make docs`` renders it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, write_json
from lit_lossopt.core.errors import one_line
from lit_lossopt.tracking.reading.runs import Run, read_history, read_runs

EXPERIMENT = "cifar10_jpeg"
CONFIGS = ("sgd", "sgd_momentum", "sgd_momentum_weight_decay", "adam", "rmsprop", "binary_bce")
SEEDS = (0, 1, 2)
# Test accuracy after epochs 1 to 5 of a plain PyTorch loop on the same images (batch 64, no augmentation, channel
# normalisation, incomplete batches left out, one thread, seed 0), measured when the images were made.
PLAIN_LOOP = {
    "sgd": (0.422, 0.500, 0.545, 0.568, 0.600),
    "sgd_momentum": (0.570, 0.653, 0.674, 0.705, 0.711),
    "sgd_momentum_weight_decay": (0.581, 0.646, 0.671, 0.695, 0.715),
    "adam": (0.602, 0.651, 0.672, 0.696, 0.703),
    "rmsprop": (0.595, 0.647, 0.665, 0.681, 0.696),
}
WORKERS = 2


@dataclass(frozen=True)
class Trial:
    """One run of a config with a seed, and what else is typed."""

    config: str
    seed: int
    flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What distinguishes the trial."""
        return " ".join([self.config, *self.flags, str(self.seed)])


def command(trial: Trial, folder: str) -> list[str]:
    """Return the command line of one trial."""
    return [
        "-m", "lit_lossopt", "fit", "--config", trial.config, "--config", "image_folder", f"--data.folder={folder}",
        "--data.validate_on_test=true", *trial.flags, "--seed_everything", str(trial.seed), "--threads", "1",
        "--tracking.experiment", EXPERIMENT, "--tracking.run_name", trial.name,
    ]  # fmt: skip


def run_trials(trials: Sequence[Trial]) -> list[Run]:
    """Run the trials, two at a time, in a store of their own, and return their runs.

    Raises:
        SystemExit: no images are named, or a trial failed.
    """
    folder = os.environ.get("LOSSOPT_IMAGE_FOLDER")
    if not folder:
        sys.exit("name the images with LOSSOPT_IMAGE_FOLDER=path")
    work = Path(tempfile.mkdtemp(prefix="lossopt-study-"))
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work}/mlflow.db"
    print(f"{len(trials)} trials, logs in {work}", flush=True)
    images = str(Path(folder).absolute())
    # The first trial alone: it makes the database and decodes the images.
    failed = [_run(work, images, trials[0])]
    with ThreadPoolExecutor(WORKERS) as pool:
        failed += pool.map(lambda trial: _run(work, images, trial), trials[1:])
    if any(failed):
        sys.exit(f"{sum(failed)} trials failed; see {work}")
    return read_runs(EXPERIMENT)


def summary(runs: Sequence[Run], config: str, flags: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the accuracies of an arm: at step 0 and after each epoch, one list a seed."""
    names = {Trial(config, seed, flags).name: seed for seed in SEEDS}
    mine = sorted((run for run in runs if run.name in names), key=lambda run: names[run.name])
    return {
        "config": config,
        "flags": list(flags),
        "plain_loop": PLAIN_LOOP.get(config),
        "runs": [
            {
                "seed": names[run.name],
                "accuracy": read_history(run.run_id, "val/accuracy").values.tolist(),
                "train_seconds": run.metrics["time/train_seconds"],
                "logged_steps": len(read_history(run.run_id, "train/loss").steps),
            }
            for run in mine
        ],
    }


def content(arms: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is written: data, command, machine and arms."""
    words = command(Trial("CONFIG", 0), "IMAGES")[:-4]
    return {
        "data": "CIFAR-10, JPEG q75 copy (all 50,000 training images; accuracy on the 10,000 test images)",
        "command": "python " + " ".join(words).replace("--seed_everything 0", "--seed_everything SEED"),
        "machine": machine(),
        "arms": arms,
    }


def main() -> None:
    """Run every config with every seed and write ``results/cifar10_jpeg.json``."""
    runs = run_trials([Trial(config, seed) for config in CONFIGS for seed in SEEDS])
    print(write_json("cifar10_jpeg", content([summary(runs, config) for config in CONFIGS])))


def _run(work: Path, images: str, trial: Trial) -> bool:
    with (work / f"{trial.name.replace('/', '_')}.log").open("w") as log:
        words = [sys.executable, *command(trial, images)]
        status = subprocess.run(words, cwd=work, stdout=log, stderr=log, check=False).returncode
    last = Path(log.name).read_text(encoding="utf-8").strip().splitlines()[-1:]
    print(f"{trial.name}: exit {status}, {one_line(' '.join(last), 120)}", flush=True)
    return status != 0


if __name__ == "__main__":
    main()
