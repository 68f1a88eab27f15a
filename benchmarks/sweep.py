"""Two one-thread workers against the same trials one after another with two threads, and what a trial costs beside it.

Run: ``python -m benchmarks.sweep``. Equal trials of MiniCNN on 32×32 images: by two workers; by one worker, timed from
the first trial's start to the last one's end; and typed, each a process that imports everything. How far two workers
are ahead depends on how well a machine's two threads share one training, so that is measured in the same run. A trial's
overhead is measured on the embedded digits: the seconds from its start to its end, less those of training itself
(``time/train_seconds``); evaluations count as overhead.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial

import numpy as np

from benchmarks.harness import Measure, interleave, ratio, write
from lit_lossopt.core import names
from lit_lossopt.sweeps.engines.local import LocalEngine
from lit_lossopt.sweeps.trial import Outcome, Resources, Trial
from lit_lossopt.tracking.reading.runs import read_runs

TRIALS, TYPED_TRIALS, BATCH, STEPS, CLASSES = 12, 3, 64, 150, 10
_numbers = itertools.count()
WANTED_RATIO, WANTED_SECONDS = 1.3, 1.0
IMAGES = [
    "--config=sgd", "--data=ArrayFileDataModule", "--data.file=images.npz", "--trainer.max_epochs=1",
    f"--trainer.limit_train_batches={STEPS}",
]  # fmt: skip
DIGITS = ["--config=sgd", "--config=digits", "--trainer.max_epochs=10"]
WORKERS, ONE, TYPED = "two workers, one thread each", "one worker, two threads", "typed one by one, two threads"


def main(repeats: int = 5) -> None:
    """Measure, print and write ``results/sweep.json``."""
    trained: dict[str, list[float]] = {WORKERS: [], ONE: []}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        _write_images()
        arms: dict[str, Measure] = {
            WORKERS: partial(_trials_a_minute, 2, 1, trained[WORKERS]),
            ONE: partial(_trials_a_minute, 1, 2, trained[ONE]),
            TYPED: _typed_a_minute,
        }
        values = interleave(arms, repeats)
        overhead = _overhead()
    ratios = [
        ratio(f"{WORKERS} / {ONE}", values[WORKERS], values[ONE], WANTED_RATIO),
        ratio("… of it the steps of training alone", trained[WORKERS], trained[ONE]),
        ratio(f"{WORKERS} / {TYPED}", values[WORKERS], values[TYPED], WANTED_RATIO),
    ]
    for found in ratios:
        print(f"{found.name}: {found.median:.2f} [{found.low:.2f} to {found.high:.2f}], wanted {found.wanted}")
    print(f"overhead of a trial: {statistics.median(overhead):.2f} s, wanted below {WANTED_SECONDS}")
    content = {"overhead_seconds": overhead, "overhead_wanted": WANTED_SECONDS}
    print(write("sweep", values, f"trials a minute, {STEPS} steps of {BATCH} images each", ratios, **content))


def _trials_a_minute(workers: int, threads: int, trained: list[float]) -> float:
    """Return trials a minute; note what the steps of training alone would allow."""
    experiment = f"images {next(_numbers)}"
    ended: list[tuple[float, float]] = []
    for outcome, now in _run(workers, threads, IMAGES, TRIALS, experiment):
        ended.append((now - outcome.seconds, now))
    trained.append(60 * workers / statistics.mean(_train_seconds(experiment).values()))
    return 60 * TRIALS / (max(end for _, end in ended) - min(start for start, _ in ended))


def _typed_a_minute() -> float:
    began = time.monotonic()
    for seed in range(TYPED_TRIALS):
        words = ["fit", *IMAGES, "--threads=2", f"--seed_everything={seed}", "--trainer.enable_checkpointing=false"]
        subprocess.run([sys.executable, "-m", "lit_lossopt", *words], check=True, capture_output=True)
    return 60 * TYPED_TRIALS / (time.monotonic() - began)


def _train_seconds(experiment: str) -> dict[int, float]:
    """Return seed → seconds of training."""
    return {int(run.tags[names.TAG_SEED]): run.metrics[names.TRAIN_SECONDS] for run in read_runs(experiment)}


def _overhead() -> list[float]:
    """Return the seconds of each trial on digits beside its training."""
    outcomes = {outcome.trial.seed: outcome.seconds for outcome, _ in _run(1, 1, DIGITS, TRIALS, "digits")}
    trained = _train_seconds("digits")
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
