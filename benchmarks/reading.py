"""Reading the loss of every step of many runs: the tables of a local store, against one public call a run.

Run: ``python -m benchmarks.reading``. One hundred runs of 2,000 steps, both ways; then 200 runs of 5,000 steps read in
a fresh process, with the memory that it takes.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from benchmarks.harness import interleave, ratio, write
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_runs

WANTED = 10.0
OURS, PUBLIC = "lit_lossopt", "get_metric_history, one call a run"
LARGE = (200, 5000)
# The system's own count of the largest memory of a process; that of ``resource`` begins with its parent's.
_FRESH = """
import re, sys, time
from pathlib import Path
from lit_lossopt.tracking.reading.runs import read_runs
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
read_runs(sys.argv[1])
before, started = peak(), time.perf_counter()
runs = read_runs(sys.argv[1], metrics=[sys.argv[2]])
assert sum(len(run.histories[sys.argv[2]].steps) for run in runs) == int(sys.argv[3])
print(time.perf_counter() - started, (peak() - before) / 1024)
"""


def fill(experiment: str, runs: int, steps: int) -> list[str]:
    """Make runs with one loss a step, and return their ids."""
    client = MlflowClient()
    experiment_id = client.create_experiment(experiment)
    ids = [str(client.create_run(experiment_id).info.run_id) for _ in range(runs)]
    losses = np.exp(-np.arange(1, steps + 1) / steps).tolist()
    for run_id in ids:
        client.log_batch(run_id, [Metric(names.TRAIN_LOSS, losses[-1], steps, steps)])
    rows = ((names.TRAIN_LOSS, losses[step - 1], step, step, run_id) for run_id in ids for step in range(1, steps))
    columns = "(key, value, timestamp, step, run_uuid, is_nan)"
    with closing(sqlite3.connect("mlflow.db")) as database:
        database.executemany(f"INSERT INTO metrics {columns} VALUES (?, ?, ?, ?, ?, 0)", rows)  # noqa: S608  # ours
        database.commit()
    return ids


def ours(experiment: str) -> float:
    """Return the seconds that reading the tables takes."""
    started = time.perf_counter()
    read_runs(experiment, metrics=[names.TRAIN_LOSS])
    return time.perf_counter() - started


def public(ids: list[str]) -> float:
    """Return the seconds that one public call a run takes."""
    client = MlflowClient()
    started = time.perf_counter()
    for run_id in ids:
        client.get_metric_history(run_id, names.TRAIN_LOSS)
    return time.perf_counter() - started


def fresh(experiment: str, points: int) -> tuple[float, float]:
    """Return seconds and MiB that reading takes in a process of its own."""
    command = [sys.executable, "-c", _FRESH, experiment, names.TRAIN_LOSS, str(points)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def main(repeats: int = 7) -> None:
    """Measure, and write ``results/reading.json``."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        ids = fill("hundred", 100, 2000)
        values = interleave({OURS: lambda: ours("hundred"), PUBLIC: lambda: public(ids)}, repeats)
        fill("large", *LARGE)
        large = [fresh("large", LARGE[0] * LARGE[1]) for _ in range(3)]
    ratios = [ratio(f"{PUBLIC} / {OURS}", values[PUBLIC], values[OURS], WANTED)]
    content = {"runs": LARGE[0], "steps": LARGE[1], "seconds": min(large)[0], "mebibytes": max(m for _, m in large)}
    print(ratios, content)
    print(write("reading", values, "seconds, 100 runs of 2,000 steps", ratios, large=content))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
