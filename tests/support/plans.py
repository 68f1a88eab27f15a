"""Plans for tests, and an engine whose results are known beforehand: it logs a curve that a formula gives."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.killing.pause import MARK
from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import Zygote, wait_until_dead
from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.sweeps.options import read_options, the_plan
from lit_lossopt.sweeps.plan.file import Plan
from lit_lossopt.sweeps.plan.points import LEARNING_RATE
from lit_lossopt.sweeps.trial import Outcome, Progress, Trial, Watch
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.tracking.recording import Point
from tests.support.sweep_process import children_of

TWO_ARMS: dict[str, Any] = {
    "base": {"data": "DigitsDataModule", "trainer.max_epochs": 1},
    "factors": {"optimizer": {"sgd": {"model.optimizer": "SGD"}, "adam": {"model.optimizer": "Adam"}}},
    "learning_rates": {"from": 0.001, "to": 0.1, "points": 3},
    "seeds": 2,
}


def write_plan(content: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a plan into the working folder; a change to None leaves its key out."""
    tree = {**(TWO_ARMS if content is None else content), **changes}
    path = Path("plan.yaml")
    path.write_text(
        yaml.safe_dump({"sweep": {key: value for key, value in tree.items() if value is not None}}, sort_keys=False)
    )
    return path


def plan(*words: str, **changes: Any) -> Plan:
    """Return the plan of two arms with changes, as ``sweep --config plan.yaml WORDS`` would read it."""
    return the_plan(read_options(["--config", str(write_plan(**changes)), *words]))


class CurveEngine:
    """Logs a run for each trial, with a curve that ends at ``accuracy(trial)``.

    Args:
        accuracy: the final accuracy of a trial; None: it diverges; it may raise: the trial crashes.
        stop_after: how many trials before Ctrl-C.
    """

    def __init__(self, accuracy: Callable[[Trial], float | None], stop_after: int = -1) -> None:
        self.accuracy = accuracy
        self.stop_after = stop_after
        self.ran: list[Trial] = []

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome as it ends."""
        for trial in trials:
            if len(self.ran) == self.stop_after:
                raise KeyboardInterrupt
            watch(Progress(0, trial))
            self.ran.append(trial)
            yield Outcome(trial, *self._status(trial))

    def _status(self, trial: Trial) -> tuple[int, int, float, str]:
        try:
            final = self.accuracy(trial)
        except RuntimeError as error:
            return 1, 1, 0.1, str(error)
        log_curve(trial, final)
        return (3 if final is None else 0), 1, 0.1, ""


def leave_curve(arm: str, seed: int, rate: float, tracking: list[str], whole: bool, patience: float) -> int:
    """Log a run as a trial of this arm, seed and rate would, and wait to be killed; called through the zygote.

    Args:
        arm: of the trial.
        seed: of the trial.
        rate: its learning rate.
        tracking: its words for the record.
        whole: whether the run has its end.
        patience: seconds that the store is given.
    """
    trial = Trial("", (), arm, "", seed, {LEARNING_RATE: rate}, tuple(tracking))
    log_curve(trial, 0.9, whole=whole, patience=patience)
    return wait_to_be_killed()


def wait_to_be_killed() -> int:
    """Make a file that says so, and wait."""
    Path(MARK).touch()
    signal.pause()
    return 1


def kill_with_its_family(zygote: Zygote, process: int, output: Path) -> None:
    """Kill a process that waits for it; return when what works with its store is dead, too, and holds nothing."""
    wait_until(Path(MARK).exists, output.read_text)
    Path(MARK).unlink()
    family = children_of(process)
    os.kill(process, signal.SIGKILL)
    assert zygote.wait(process) == -signal.SIGKILL
    assert not wait_until_dead(family)


RISING = (0.2, 0.8, 1.0)


def log_curve(
    trial: Trial, final: float | None, *, whole: bool = True, patience: float = 30.0, shares: Sequence[float] = RISING
) -> None:
    """Log a run as a trial would: a rising curve, and its end unless the process is killed before.

    Args:
        trial: says where the run is kept.
        final: the value at the end. None: it diverges.
        whole: whether the run has its end.
        patience: seconds that the store is given.
        shares: of the final value, one an evaluation.
    """
    typed = dict(word.removeprefix("--").split("=", 1) for word in trial.tracking)
    logger = RunLogger(
        typed["tracking.experiment"],
        patience=patience,
        tags=json.loads(typed["tracking.tags"]),
        parent=typed["tracking.parent"],
    )
    logger.start(f"{trial.arm} seed={trial.seed}", {"learning_rate": trial.point.get(LEARNING_RATE, 0)})
    accuracies = [share * (0.1 if final is None else final) for share in shares]
    name = names.metric(names.VAL, "accuracy")
    logger.log_points([Point(name, value, step, 1_700_000_000_000) for step, value in enumerate(accuracies)])
    if final is None:
        logger.set_verdict(Verdict.DIVERGED, "the loss was not finite")
    if whole:
        logger.finalize("success" if final is not None else "failed")
