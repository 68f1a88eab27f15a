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
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, write_json
from lit_lossopt.errors import one_line
from lit_lossopt.names import TAG_SEED
from lit_lossopt.tracking.runs import Run, read_history, read_runs

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


def command(config: str, seed: int | str, folder: str) -> list[str]:
    """Return the command line of one trial."""
    return [
        "-m", "lit_lossopt", "fit", "--config", config, "--config", "image_folder", f"--data.folder={folder}",
        "--data.validate_on_test=true", "--seed_everything", str(seed), "--threads", "1",
        "--tracking.experiment", EXPERIMENT, "--tracking.run_name", f"{config} {seed}",
    ]  # fmt: skip


def main() -> int:
    """Run what is missing, then write the JSON."""
    folder = os.environ.get("LOSSOPT_IMAGE_FOLDER")
    if not folder:
        print("name the images with LOSSOPT_IMAGE_FOLDER=path", file=sys.stderr)
        return 2
    work = Path(tempfile.mkdtemp(prefix="lossopt-study-"))
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{work}/mlflow.db"
    trials = [(config, seed) for config in CONFIGS for seed in SEEDS]
    print(f"{len(trials)} trials, logs in {work}", flush=True)
    # The first trial alone: it makes the database and decodes the images.
    failed = [_run(work, folder, trials[0])]
    with ThreadPoolExecutor(WORKERS) as pool:
        failed += pool.map(lambda trial: _run(work, folder, trial), trials[1:])
    write_json(
        "cifar10_jpeg",
        {
            "data": "CIFAR-10, JPEG q75 copy (all 50,000 training images; accuracy on the 10,000 test images)",
            "command": "python " + " ".join(command("CONFIG", "SEED", "IMAGES")),
            "machine": machine(),
            "arms": _arms(read_runs(EXPERIMENT)),
        },
    )
    return int(any(failed))


def _run(work: Path, folder: str, trial: tuple[str, int]) -> bool:
    config, seed = trial
    with (work / f"{config}-{seed}.log").open("w") as log:
        status = subprocess.run(
            [sys.executable, *command(config, seed, str(Path(folder).absolute()))],
            cwd=work,
            stdout=log,
            stderr=log,
            check=False,
        ).returncode
    last = Path(log.name).read_text(encoding="utf-8").strip().splitlines()[-1:]
    print(f"{config} seed {seed}: exit {status}, {one_line(' '.join(last), 120)}", flush=True)
    return status != 0


def _arms(runs: Sequence[Run]) -> list[dict[str, Any]]:
    arms: list[dict[str, Any]] = []
    for config in CONFIGS:
        mine = [run for run in runs if run.name.rpartition(" ")[0] == config and run.status == "FINISHED"]
        arms.append(
            {
                "config": config,
                "plain_loop": PLAIN_LOOP.get(config),
                "runs": [
                    {
                        "seed": int(run.tags[TAG_SEED]),
                        "accuracy": read_history(run.run_id, "val/accuracy").values.tolist(),
                        "train_seconds": run.metrics["time/train_seconds"],
                        "logged_steps": len(read_history(run.run_id, "train/loss").steps),
                    }
                    for run in sorted(mine, key=lambda run: int(run.tags[TAG_SEED]))
                ],
            }
        )
    return arms


if __name__ == "__main__":
    sys.exit(main())
