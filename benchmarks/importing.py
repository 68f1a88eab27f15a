"""Importing runs of other programs: tables written directly, against MLflow's own ``log_batch``.

Run: ``python -m benchmarks.importing``. Five runs of 5,000 steps and three metrics, both ways; then the whole command
in a process of its own, for one hundred runs of 5,000 steps, from tables and from event files.
"""

from __future__ import annotations

import itertools
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mlflow.tracking import MlflowClient

from benchmarks.harness import interleave, ratio, write
from lit_lossopt.tracking.importing.finding import find_logs
from lit_lossopt.tracking.importing.prepared import PreparedRun, prepare
from lit_lossopt.tracking.importing.request import parse_request
from lit_lossopt.tracking.importing.writing import write_runs

OURS, PUBLIC = "lit_lossopt", "log_batch, 1,000 points a call"
RUNS, STEPS, METRICS = 100, 5000, ("train_loss", "train_acc", "grad_norm")
_FEW, WANTED = 5, 5.0


def write_tables(folder: Path, runs: int, metrics: Sequence[str] = METRICS) -> None:
    """Write ``metrics.csv`` of so many runs, as CSVLogger does."""
    for seed in range(runs):
        draw = random.Random(seed)
        place = folder / f"version_{seed}"
        place.mkdir(parents=True)
        rows = (",".join([str(step), *(repr(draw.random()) for _ in metrics)]) for step in range(STEPS))
        (place / "metrics.csv").write_text("\n".join([",".join(["step", *metrics]), *rows, ""]), encoding="utf-8")
        (place / "hparams.yaml").write_text(f"seed: {seed}\n", encoding="utf-8")


def write_events(folder: Path, runs: int) -> None:
    """Write an event file of one metric for each of so many runs."""
    from torch.utils.tensorboard import SummaryWriter

    for seed in range(runs):
        draw = random.Random(seed)
        with SummaryWriter(str(folder / f"version_{seed}")) as writer:
            for step in range(STEPS):
                writer.add_scalar(METRICS[0], draw.random(), step)


def prepared(folder: Path) -> list[PreparedRun]:
    """Return the runs of a folder, ready to be written."""
    request = parse_request([str(folder)])
    sources = find_logs(request.paths, "", has_columns=False).sources
    return [prepare(run, source, program, request) for program, source in sources for run in program.read(source, {})]


def written(runs: Sequence[PreparedRun], store: str, experiment: str) -> float:
    """Return the seconds that writing runs into a new experiment of a store takes."""
    os.environ["MLFLOW_TRACKING_URI"] = store
    started = time.perf_counter()
    write_runs(experiment, runs, lambda: None)
    return time.perf_counter() - started


def fresh(folder: Path) -> tuple[float, float]:
    """Return the seconds and the processor seconds of the whole command in a process of its own."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "lit_lossopt", "import", str(folder)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, used


def main(repeats: int = 5) -> None:
    """Measure, and write ``results/importing.json``."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        stores = {arm: f"sqlite:///{folder}/{place}.db" for place, arm in enumerate((OURS, PUBLIC))}
        for store in stores.values():
            MlflowClient(store).search_experiments()
        with closing(sqlite3.connect(folder / "1.db")) as connection:
            # Tables that something watches are written by MLflow itself.
            connection.execute("CREATE TRIGGER watch AFTER DELETE ON metrics BEGIN SELECT 1; END")
        write_tables(folder / "few", _FEW)
        runs, number = prepared(folder / "few"), itertools.count()
        arms = {arm: lambda store=store: written(runs, store, f"e{next(number)}") for arm, store in stores.items()}
        values = interleave(arms, repeats)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/whole.db"
        MlflowClient(os.environ["MLFLOW_TRACKING_URI"]).search_experiments()
        write_tables(folder / "tables", RUNS)
        write_tables(folder / "one_metric", RUNS, METRICS[:1])
        write_events(folder / "events", RUNS)
        kinds = {"one_metric": 1, "tables": len(METRICS), "events": 1}
        whole = [
            {"kind": kind, "points": RUNS * STEPS * metrics, "seconds": found[0], "processor_seconds": found[1]}
            for kind, metrics in kinds.items()
            for found in [fresh(folder / kind)]
        ]
    ratios = [ratio(f"{PUBLIC} / {OURS}", values[PUBLIC], values[OURS], WANTED)]
    print(ratios, whole)
    unit = f"seconds, {_FEW} runs of {STEPS:,} steps and {len(METRICS)} metrics"
    print(write("importing", values, unit, ratios, whole=whole, runs=RUNS, steps=STEPS, load=os.getloadavg()[2]))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
