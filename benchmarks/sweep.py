"""Two one-thread workers against the same trials one after another with two threads, and what a trial costs beside it.

Run: ``python -m benchmarks.sweep``. Twelve equal trials of MiniCNN on 32×32 images, through the local engine both
times, timed from the first trial's start to the last one's end. A trial's overhead is measured on the embedded digits:
the seconds from its start to its end, less those of training itself (``time/train_seconds``); evaluations count as
overhead.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.harness import interleave, ratio, write
from lit_lossopt import names
from lit_lossopt.sweep.local import LocalEngine
from lit_lossopt.sweep.trial import Outcome, Resources, Trial
from lit_lossopt.tracking.runs import read_runs

TRIALS, BATCH, STEPS, CLASSES = 12, 64, 150, 10
WANTED_RATIO, WANTED_SECONDS = 1.3, 1.0
IMAGES = [
    "--config=sgd", "--data=ArrayFileDataModule", "--data.file=images.npz", "--trainer.max_epochs=1",
    f"--trainer.limit_train_batches={STEPS}",
]  # fmt: skip
DIGITS = ["--config=sgd", "--config=digits", "--trainer.max_epochs=10"]
ONE, TWO = "two workers, one thread each", "one worker, two threads"


def main(repeats: int = 3) -> None:
    """Measure, print and write ``results/sweep.json``."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        _write_images()
        arms = {ONE: partial(_trials_a_minute, 2, 1), TWO: partial(_trials_a_minute, 1, 2)}
        values = interleave(arms, repeats)
        overhead = _overhead()
    found = ratio(f"{ONE} / {TWO}", values[ONE], values[TWO], WANTED_RATIO)
    print(f"{found.name}: {found.median:.2f} [{found.low:.2f}, {found.high:.2f}], wanted at least {WANTED_RATIO}")
    print(f"overhead of a trial: {statistics.median(overhead):.2f} s, wanted below {WANTED_SECONDS}")
    content = {"overhead_seconds": overhead, "overhead_wanted": WANTED_SECONDS}
    print(write("sweep", values, f"trials a minute, {STEPS} steps of {BATCH} images each", [found], **content))


def _trials_a_minute(workers: int, threads: int) -> float:
    ended: list[tuple[float, float]] = []
    for outcome, now in _run(workers, threads, IMAGES, TRIALS, "images"):
        ended.append((now - outcome.seconds, now))
    return 60 * TRIALS / (max(end for _, end in ended) - min(start for start, _ in ended))


def _overhead() -> list[float]:
    """Return the seconds of each trial on digits beside its training."""
    outcomes = {outcome.trial.seed: outcome.seconds for outcome, _ in _run(1, 1, DIGITS, TRIALS, "digits")}
    trained = {int(run.tags[names.TAG_SEED]): run.metrics[names.TRAIN_SECONDS] for run in read_runs("digits")}
    return [outcomes[seed] - trained[seed] for seed in outcomes]


def _run(workers: int, threads: int, words: Sequence[str], count: int, experiment: str) -> list[tuple[Outcome, float]]:
    """Run trials that differ by their seed; return each outcome with the moment at which it came."""
    place = (f"--tracking.experiment={experiment}", "--trainer.enable_checkpointing=false")
    trials = [
        Trial(f"{seed}", ("fit", *words, f"--threads={threads}", f"--seed_everything={seed}"), "", "", seed, {}, place)
        for seed in range(count)
    ]
    found = []
    for outcome in LocalEngine(Resources(workers, threads)).run(trials, lambda _: None, lambda _: False):
        if outcome.status:
            raise RuntimeError(outcome.said)
        found.append((outcome, time.monotonic()))
    return found


def _write_images() -> None:
    """Write images whose classes differ in brightness, enough for all steps."""
    random = np.random.default_rng(0)
    count = int(BATCH * STEPS / 0.9) + CLASSES * BATCH
    labels = np.arange(count) % CLASSES
    brightness = (12 * labels).astype(np.uint8)[:, None, None, None]
    images = random.integers(0, 128, (count, 3, 32, 32), dtype=np.uint8) + brightness
    np.savez("images.npz", images=images, labels=labels, test_images=images[:BATCH], test_labels=labels[:BATCH])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
