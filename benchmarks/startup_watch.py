"""What notes the way to the first step, inside the process that is measured.

It imports nothing of this repository before the command does, so that any checkout can be measured: ``startup`` puts
this file beside it. Times are seconds since the process was asked for, which the variable ``STARTUP_BEGAN`` says.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

FOUND = "startup.json"
# The last import before anything is built, in every checkout.
_LAST = "lit_lossopt.training.cli"
_marks: list[tuple[str, float, float]] = []
_costs: _Costs | None = None


def mark(name: str) -> None:
    """Note that something has been reached, with this process's wall and processor seconds so far."""
    _marks.append((name, time.time() - float(os.environ["STARTUP_BEGAN"]), time.process_time()))


def write() -> None:
    """Write what was noted, the processor seconds of processes beside this one, and the modules that it has now."""
    # Those that computing threads have started are among no other's.
    files = Path("/proc/self/task").glob("*/children")
    children = [word for file in files for word in file.read_text(encoding="utf-8").split()]
    found: dict[str, Any] = {
        "marks": _marks,
        "beside": sum(map(_processor_seconds, children)),
        "modules": sorted(sys.modules),
    }
    found["costs"] = dict(_costs.own) if _costs else {}
    Path(FOUND).write_text(json.dumps(found), encoding="utf-8")


def _processor_seconds(process: str) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Imports:
    """Notes when the last import of a command begins and ends."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Leave finding to those behind this one, but for one module."""
        if name != _LAST:
            return None
        mark("what was typed is checked")
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def timed(module: ModuleType) -> None:
            execute(module)
            mark("imports")

        spec.loader.exec_module = timed  # type: ignore[method-assign]  # of this one loader
        return spec


class _Costs:
    """Adds up the processor seconds of each import without those of the imports in it."""

    def __init__(self) -> None:
        self.own: dict[str, float] = defaultdict(float)
        # Of imports that are under way: what those in them have taken.
        self._inner: list[float] = []

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find as Python does, and time that and what follows."""
        spec: ModuleSpec | None = self._timed(name, PathFinder.find_spec)(name, path, target)
        for step in ("create_module", "exec_module"):
            if spec and hasattr(spec.loader, step):
                setattr(spec.loader, step, self._timed(name, getattr(spec.loader, step)))
        return spec

    def _timed(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began = time.process_time()
            self._inner.append(0.0)
            try:
                return step(*arguments)
            finally:
                took = time.process_time() - began
                self.own[name] += took - self._inner.pop()
                if self._inner:
                    self._inner[-1] += took

        return timed


def run(*, costs: bool = False) -> None:
    """Run the command line as ``python -m lit_lossopt`` does, and note its way to the first step.

    Args:
        costs: note also what each import takes. All of it is then a little slower.
    """
    global _costs  # noqa: PLW0603  # this process measures one command
    mark("the interpreter")
    sys.meta_path.insert(0, _Imports())
    if costs:
        _costs = _Costs()
        sys.meta_path.insert(0, _costs)
    runpy.run_module("lit_lossopt", run_name="__main__", alter_sys=True)


def trials(count: int) -> None:
    """Run tiny trials of the digits by the fork server, and print what each took as JSON."""
    from mlflow.tracking import MlflowClient

    from lit_lossopt.core import names
    from lit_lossopt.sweeps.engines.local import LocalEngine
    from lit_lossopt.sweeps.trial import Resources, Trial
    from lit_lossopt.tracking.reading.runs import read_runs

    # As a sweep has made it before its first trial.
    MlflowClient().search_experiments()
    Path("mlruns").mkdir(exist_ok=True)
    watch = ("--allow-import=startup_watch", "--trainer.callbacks+=startup_watch.FirstStep")
    words = ("fit", "--config=sgd", "--config=digits", "--trainer.max_steps=1", "--threads=1", *watch)
    place = ("--tracking.experiment=trials", "--trainer.enable_checkpointing=false")
    each = [Trial(str(n), (*words, f"--seed_everything={n}"), "", "", n, {}, place) for n in range(count)]
    engine = LocalEngine(Resources(1, 1), command="startup_watch:trial")
    whole: dict[int, float] = {}
    for outcome in engine.run(each, lambda _: None, lambda _: False):
        if outcome.status:
            raise RuntimeError(outcome.said)
        whole[outcome.trial.seed] = outcome.seconds
    trained = {int(run.tags[names.TAG_SEED]): run.metrics[names.TRAIN_SECONDS] for run in read_runs("trials")}
    starts = [json.loads(line) for line in Path("trials.jsonl").read_text(encoding="utf-8").splitlines()]
    print(json.dumps({"starts": starts, "outside": [whole[seed] - trained[seed] for seed in whole]}))


def trial(words: list[str]) -> int:
    """Run one trial, in a process that was forked just now."""
    from lit_lossopt.__main__ import main

    stat = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[19]) / os.sysconf("SC_CLK_TCK")
    os.environ["STARTUP_BEGAN"] = str(time.time() - age)
    status = main(words)
    *_, (_, wall, processor) = _marks
    with Path("trials.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"wall": wall, "processor": processor}) + "\n")
    return status


def __getattr__(name: str) -> Any:
    """Return the callback, which is made where Lightning has been imported."""
    if name != "FirstStep":
        raise AttributeError(name)
    import lightning.pytorch as pl

    class FirstStep(pl.Callback):
        """Notes hooks up to the first step."""

        def __init__(self) -> None:
            mark("parser and classes")

        def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
            """Note that everything was built and tried."""
            mark("a trial step")

        def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            """Note that the store has the run."""
            mark("the run in its store")

        def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            """Note that the curves have begun at step 0."""
            mark("the first validation")

        def on_train_batch_end(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            """Note that training has begun."""
            if trainer.global_step == 1:
                mark("the first step")
                write()

    FirstStep.__module__, FirstStep.__qualname__ = __name__, name
    globals()[name] = FirstStep
    return FirstStep
