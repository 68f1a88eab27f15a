"""What other processes do in the tests of tracking; called through the zygote."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from benchmarks.killing.pause import MARK
from lit_lossopt.__main__ import main
from lit_lossopt.sweeps.engines.rehearsal import rehearse
from lit_lossopt.tracking import store_process
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.tracking.recording import Point
from lit_lossopt.tracking.run_journals import claim


class SlowTest(pl.Callback):
    """Takes half a second a batch of a test, having made the file ``testing``."""

    def on_test_batch_end(self, *args: Any, **options: Any) -> None:
        """Wait."""
        Path("testing").touch()
        time.sleep(0.5)


class SlowTraining(pl.Callback):
    """Takes most of a second a batch."""

    def on_train_batch_start(self, *args: Any, **options: Any) -> None:
        """Wait."""
        time.sleep(0.7)


METRICS = ("a", "b", "c")


def write_points(points: int, seconds: float) -> int:
    """Log so many points of three metrics over so many seconds."""
    logger = RunLogger("writers", patience=60)
    for step in range(points):
        now = time.time_ns() // 1_000_000
        logger.log_points([Point(name, float(step), step, now) for name in METRICS])
        time.sleep(seconds / points)
    logger.finalize("success")
    return 0


def timed_training(words: list[str]) -> int:
    """Train, and print the share of training seconds that passed inside the logger's calls."""
    spent = 0.0

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal spent
            started = time.perf_counter()
            try:
                return method(*args, **options)
            finally:
                spent += time.perf_counter() - started

        return call

    for name in ("log_points", "log_tags", "log_content", "log_hyperparams"):
        setattr(RunLogger, name, timed(getattr(RunLogger, name)))
    began = time.perf_counter()
    status = main(words)
    print(f"share {spent / (time.perf_counter() - began):.5f}")
    return status


def training_apart(words: list[str]) -> int:
    """Train in a process and a group of its own; return when it has ended, however it did.

    What works with its store is a program of its own, as beside a training that a person starts.
    """
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        store_process._keeper._may_fork = False
        try:
            os._exit(main(words))
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    return 0


def rehearse_again() -> int:
    """Do what the server of a sweep does before it forks."""
    rehearse()
    return 0


def claim_settings(settings: str) -> int:
    """Claim settings, and wait to be killed."""
    claim(Path("mlruns/journal"), settings)
    Path(MARK).touch()
    time.sleep(3600)
    return 0
