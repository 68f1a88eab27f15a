"""Runs of several processes that are killed and resumed, and the comparison of what they leave with a whole one."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import torch

from benchmarks.killing.pause import MARK, MOMENT
from benchmarks.killing.stored import stored_points
from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import Zygote, alive
from lit_lossopt.tracking.journal_reading import read_entries
from lit_lossopt.tracking.reading.runs import Run, read_runs

# Three epochs of eight steps; validations of two batches after every fourth step. The probe is there, and small.
RUN = [
    "fit", "--data=DigitsDataModule", "--threads=1", "--trainer.max_epochs=3", "--data.batch_size=160",
    "--data.eval_batch_size=90", "--trainer.val_check_interval=4", "--allow-import=benchmarks",
    "--tracking.patience=20", "--diagnostics=off", "--probe.images=32",
]  # fmt: skip
# On two classes: as many steps of a fifth of the images.
EVERYTHING = [
    "--data.classes=[0,1]", "--data.batch_size=32", "--data.eval_batch_size=16", "--config=sgd_momentum",
    "--data.augmentation=[PadCrop,HorizontalFlip,{class_path: RandomRotation, degrees: 10}]",
    "--data.mixing=MixUp", "--model.lr_scheduler=CosineAnnealingLR", "--model.lr_scheduler.T_max=24",
    "--model.lr_scheduler_interval=step", "--model.lr_warmup=3",
]  # fmt: skip
OFTEN = "--checkpoints.every_n_steps=2"
# Its curvature is that between batches, and its steps may leap anywhere; at rates of 0.01 and more, rounding decides
# which training diverges. At this one rounding does not grow: float32 and float64 have the same losses to six digits.
LBFGS = ["--model.optimizer=LBFGS", "--model.optimizer.lr=1e-4", "--model.optimizer.max_iter=3"]
TIMES = ("time/train_seconds",)
# What Lightning's monitors measure of the machine, from each attempt's beginning on. LearningRateMonitor logs a rate
# twice at the step that begins an epoch.
OF_THE_MACHINE = ("DeviceStatsMonitor", *(f"{stage}/{what}" for stage in ("train", "validate") for what in (
    "batches", "device", "samples", "time",
)))  # fmt: skip
TWICE = "lr-"


class Attempts:
    """One run in a folder, of several processes."""

    store: Path

    def __init__(self, zygote: Zygote, folder: Path, *words: str) -> None:
        self.zygote = zygote
        self.folder = folder
        folder.mkdir(exist_ok=True)
        if not (folder / "mlflow.db").exists():
            shutil.copy(self.store, folder / "mlflow.db")
        self.words = [*RUN, *words]
        self.output = folder / "output.txt"

    def start(self, *more: str, **variables: str) -> int:
        """Start the run, or go on with it, and return the process id."""
        environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db", **variables}
        words = [*self.words, *more, "--trainer.callbacks+=benchmarks.killing.pause.PauseAt"]
        return self.zygote.start(words, self.folder, self.output, environment)

    def finish(self, *more: str, **variables: str) -> int:
        """Run to the end and return the exit status."""
        return self.zygote.wait(self.start(*more, **variables))

    def kill_at(self, moment: str, count: int, *more: str, **variables: str) -> bool:
        """Kill at a moment; return whether it came, or the run ended before it."""
        mark = self.folder / MARK
        mark.unlink(missing_ok=True)
        process = self.start(*more, **{**variables, MOMENT: f"{moment}:{count}"})
        wait_until(lambda: mark.exists() or not alive(process), self.output.read_text, pause=0.01)
        if alive(process):
            os.kill(process, signal.SIGKILL)
        return self.zygote.wait(process) == -signal.SIGKILL and mark.exists()


def last_state(folder: Path) -> dict[str, Any]:
    """Return what the last checkpoint in a folder holds."""
    return newest(folder, "last.ckpt")


def newest(folder: Path, name: str) -> dict[str, Any]:
    """Return what the newest checkpoint of a name holds; nothing where there is none."""
    # Two, equal, where the store was slow to answer: a local one, and its copy among the artifacts.
    paths = sorted(folder.rglob(name), key=lambda one: one.stat().st_mtime_ns)
    found: dict[str, Any] = torch.load(paths[-1], weights_only=True) if paths else {}
    return found


def same(first: Any, second: Any) -> bool:
    """Return True if two states are equal to the bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def assert_equal(mine_in: Path, theirs_in: Path) -> None:
    """Compare weights, those of the best too, optimizer and schedule states, and every metric's history of two runs."""
    mine, theirs = last_state(mine_in), last_state(theirs_in)
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch", "lossopt_state"):
        assert same(mine[part], theirs[part]), part
    logged = histories(mine_in)
    assert logged == histories(theirs_in)
    mine, theirs = (newest(folder, "best.ckpt") for folder in (mine_in, theirs_in))
    assert bool(mine) == bool(theirs) == ("val/accuracy" in logged)
    for part in ("state_dict", "global_step"):
        assert same(mine.get(part), theirs.get(part)), f"{part} of the best"


def read_at(folder: Path) -> Run:
    """Return the newest run in a folder's store."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    return read_runs("lit_lossopt")[-1]


def histories(folder: Path) -> dict[str, Any]:
    """Return what a finished run has logged: each metric's steps and values."""
    run = read_at(folder)
    assert run.status == "FINISHED"
    found: dict[str, Any] = {"verdict": run.tags["lossopt.verdict"], "evidence": run.tags.get("lossopt.evidence")}
    found["of the machine"] = {name for name in run.metrics if name.startswith(OF_THE_MACHINE)}
    for name in run.metrics.keys() - found["of the machine"]:
        history = stored_points(run.run_id, name)
        assert name.startswith(TWICE) or len(set(history.steps)) == len(history.steps), name
        found[name] = (history.steps.tolist(), [] if name in TIMES else history.values.tolist())
    return found


def journaled_steps(folder: Path) -> int:
    """Return how many steps stand in the journals of a folder."""
    journals = [read_entries(journal) for journal in (folder / "mlruns/journal").glob("*")]
    points = [point for entries in journals for e in entries if e["kind"] == "points" for point in e["points"]]
    return sum(point[0] == "train/loss" for point in points)


def wait_for_steps(attempts: Attempts, steps: int) -> None:
    """Wait until so many steps stand in the journal."""
    wait_until(lambda: journaled_steps(attempts.folder) >= steps, attempts.output.read_text)
