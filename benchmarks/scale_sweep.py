"""What a sweep costs outside training, and how that grows with the number of finished trials.

Run: ``python -m benchmarks.scale_sweep``, or ``python -m benchmarks.scale_sweep FOLDER`` to measure another source tree
beside this one. A grid of four optimizers on the embedded digits, one step a trial, grows to 100, 300 and 1,000 trials.
Most of them are not trained. One real trial is, and the others are copies of its journal and of its run, with ids, tags
and arms of their own (``tracking.importing.bulk``). The last trials of each size are real ones of ``lossopt sweep
--workers 1``. While they run, the processor seconds of the sweep's own process are taken at each trial that ends. Then
the same command starts again with nothing left to run, and once more as a dry run.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import machine
from benchmarks.scale import HERE, keep
from lit_lossopt.core import names
from lit_lossopt.sweeps.options import read_options, the_plan
from lit_lossopt.sweeps.protocol import Sweep, begin
from lit_lossopt.sweeps.trial import Outcome, Trial, Watch
from lit_lossopt.tracking.importing.bulk import Content, write_run
from lit_lossopt.tracking.importing.records import Series
from lit_lossopt.tracking.journal_lines import to_line
from lit_lossopt.tracking.journal_reading import DELIVERED, LOG, VERIFIED, read_entries
from lit_lossopt.tracking.reading.runs import History, read_runs
from lit_lossopt.tracking.sweeps import SweepRuns

EXPERIMENT, STORE = "thousand", "mlflow.db"
ARMS, SIZES, REAL, REPEATS = 4, (100, 300, 1000), 8, 1
PLAN = """
sweep:
  base: {data: DigitsDataModule, trainer.max_steps: 1}
  factors:
    optimizer:
      sgd: {model.optimizer: SGD, model.optimizer.lr: 0.1}
      momentum: {model.optimizer: SGD, model.optimizer.momentum: 0.9, model.optimizer.lr: 0.01}
      adam: {model.optimizer: Adam, model.optimizer.lr: 0.001}
      rmsprop: {model.optimizer: RMSprop, model.optimizer.lr: 0.001}
  protocol: grid
  seeds: 250
"""
_ENDED = re.compile(r"\[(\d+)/\d+\] .* ([\d.]+) s$")
_TICKS = os.sysconf("SC_CLK_TCK")


class Copies:
    """An engine that trains nothing, and copies the run of a real trial for each trial."""

    def __init__(self) -> None:
        trials = read_runs(EXPERIMENT, metrics=None, filter_string="tags.`lossopt.phase` = 'grid'")
        journals = Path(names.JOURNAL_FOLDER)
        self._run = next(run for run in trials if (journals / run.run_id / LOG).is_file())
        self._entries = read_entries(journals / self._run.run_id)

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome. What is watched and what is done plays no part."""
        for trial in trials:
            self._copy(trial)
            yield Outcome(trial, 0, 1, 0.1)

    def _copy(self, trial: Trial) -> None:
        typed = dict(word.removeprefix("--").split("=", 1) for word in trial.tracking)
        own = {**json.loads(typed["tracking.tags"]), names.TAG_ARM: trial.arm, names.TAG_SEED: str(trial.seed)}
        run = self._run
        params = {**run.params, "optimizer": trial.arm, "seed": str(trial.seed)}
        metrics = {
            name: Series(*(array(kind, found.tolist()) for kind, found in zip("qdq", _columns(history), strict=True)))
            for name, history in run.histories.items()
        }
        content = Content(f"{trial.arm} seed={trial.seed}", params, metrics, {**run.tags, **own}, (run.start, run.end))
        run_id = uuid4().hex
        write_run(Path(STORE), content, like=run.run_id)
        self._copy_journal(run_id, own)

    def _copy_journal(self, run_id: str, own: Mapping[str, str]) -> None:
        header, *rest = self._entries
        lines = [to_line({**header, "journal": uuid4().hex, "tags": {**header["tags"], **own}}), *map(to_line, rest)]
        folder = Path(names.JOURNAL_FOLDER) / run_id
        folder.mkdir()
        (folder / LOG).write_bytes(b"".join(lines))
        for name in (DELIVERED, VERIFIED):
            (folder / name).write_text(str(len(lines)), encoding="ascii")


def _columns(history: History) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    return history.steps, history.values, history.milliseconds


def main(before: str = "") -> None:
    """Measure, and write the part on sweeps of ``results/scale.json``."""
    trees = {"now": HERE, **({"before": Path(before).absolute()} if before else {})}
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        Path(f"{EXPERIMENT}.yaml").write_text(PLAN, encoding="utf-8")
        _once(_words(ARMS), HERE)
        for size in SIZES:
            rows.append({"trials": size, "trees": _at(size, trees)})
            print(json.dumps(rows[-1]), flush=True)
            load = os.getloadavg()[0]
            keep("sweep", {"machine": machine(), "load": load, "real": REAL, "repeats": REPEATS, "sizes": rows})


def _at(size: int, trees: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Return what a sweep of so many trials takes: while its last ones run, when all are done, and planned.

    Trees share the store. Each trains as many of the last trials, and they take turns in what follows.
    """
    _fill(size - REAL * len(trees))
    found: dict[str, dict[str, Any]] = {}
    for place, (name, tree) in enumerate(trees.items(), 1):
        found[name] = {"each": _watched(_words(size - REAL * (len(trees) - place)), tree)}
    for part, words in (("second_start", _words(size)), ("dry_run", [*_words(size), "--dry-run"])):
        taken = [{name: _once(words, tree) for name, tree in trees.items()} for _ in range(REPEATS)]
        for name in trees:
            found[name][part] = _medians([one[name] for one in taken])
    return found


def _words(trials: int) -> list[str]:
    return ["sweep", "--config", EXPERIMENT, "--seeds", str(trials // ARMS), "--workers", "1"]


def _fill(trials: int) -> None:
    """Copy runs until so many trials of the plan have ended."""
    plan = the_plan(read_options(_words(trials)[1:]))
    runs = SweepRuns(plan.experiment, plan.name)
    begin(plan, runs, lambda _: None)
    assert Sweep(plan, runs, Copies(), lambda _: None, lambda _: None).run() == 0
    runs.end("FINISHED", {})


def _watched(words: list[str], tree: Path) -> dict[str, float]:
    """Run a sweep, and return what each of its trials took beside itself.

    Of the sweep's own process it is processor seconds. The first trial is left out, since the server that forks trials
    starts with it.
    """
    command = [sys.executable, "-u", "-m", "lit_lossopt", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(tree)) as process:
        ends = [
            (time.perf_counter(), _processor_seconds(process.pid), float(found[2]))
            for line in process.stdout or ()
            if (found := _ENDED.match(line.strip()))
        ]
    assert process.returncode == 0
    assert len(ends) == REAL
    pairs = list(itertools.pairwise(ends))
    return {
        "processor_seconds": statistics.median(after[1] - first[1] for first, after in pairs),
        "mean_processor_seconds": (ends[-1][1] - ends[0][1]) / len(pairs),
        "trial_seconds": statistics.median(after[2] for _, after in pairs),
        "between_seconds": statistics.median(after[0] - first[0] - after[2] for first, after in pairs),
    }


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _once(words: list[str], tree: Path) -> tuple[float, float]:
    """Return the wall seconds and the processor seconds of a command."""
    begun, before = time.perf_counter(), _children()
    command = [sys.executable, "-m", "lit_lossopt", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment(tree))
    return time.perf_counter() - begun, _children() - before


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _medians(values: Sequence[tuple[float, float]]) -> dict[str, float]:
    wall, processor = zip(*values, strict=True)
    return {"wall_seconds": statistics.median(wall), "processor_seconds": statistics.median(processor)}


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree)}


if __name__ == "__main__":
    main(*sys.argv[1:])
