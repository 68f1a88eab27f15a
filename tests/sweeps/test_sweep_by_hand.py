"""What a sweep's worker trained, typed by hand in a process of its own: the same to the bit."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.killing.attempts import TIMES, last_state, same
from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import Run, read_runs
from tests.support.plans import write_plan

# With dropout, augmentation, mixing and a schedule, which all draw.
PLAN: dict[str, Any] = {
    "base": {
        "data": "DigitsDataModule", "trainer.max_epochs": 2, "data.augmentation": ["PadCrop"], "data.mixing": "MixUp",
        "model.lr_scheduler": "CosineAnnealingLR", "model.lr_scheduler.T_max": 40,
        "model.lr_scheduler_interval": "step",
    },
    "factors": {
        "loss": {"cross-entropy": {}, "mse": {"model.criterion": "MSELoss"}},
        "optimizer": {
            "momentum": {"model.optimizer": "SGD", "model.optimizer.momentum": 0.9},
            "adam": {"model.optimizer": "Adam"},
        },
    },
    "learning_rates": {"from": 0.001, "to": 0.01, "points": 2},
    "extend": 0,
    "seeds": 1,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("store")
def test_a_trial_of_a_worker_and_its_words_typed_by_hand_are_the_same_to_the_bit(tmp_path: Path) -> None:
    write_plan(PLAN)
    assert main(["sweep", "--config", "plan.yaml", "--workers", "2"]) == 0
    trials = [run for run in read_runs("plan") if run.tags.get(names.TAG_PHASE) == "repeat"]
    assert len(trials) == 4
    (commands,) = Path("mlruns/plan").rglob("commands.txt")
    printed = {line.removeprefix("lossopt ") for line in commands.read_text().splitlines()}
    for run in trials:
        typed = run.tags[names.TAG_DESCRIPTION].split("`")[1]
        *words, experiment = shlex.split(typed.removeprefix("python -m lit_lossopt "))
        assert experiment == "--tracking.experiment=plan"
        assert shlex.join(words) in printed
        folder = tmp_path / f"by hand {run.tags[names.TAG_SWEEP_ARM]}"
        folder.mkdir()
        mine = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
        subprocess.run(
            [sys.executable, "-m", "lit_lossopt", *words], cwd=folder, env={**os.environ, **mine}, check=True
        )
        ours = last_state(Path("mlruns/plan") / run.run_id)
        theirs = last_state(folder)
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "lossopt_state"):
            assert same(ours[part], theirs[part]), (run.name, part)
        assert points(run, tmp_path) == points(None, folder)


def points(run: Run | None, folder: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Return every metric's steps and values, but for times, of a run; without one: of the only one in a store."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    if run is None:
        (run,) = read_runs(names.EXPERIMENT)
    found = {name: stored_points(run.run_id, name) for name in run.metrics if name not in TIMES}
    return {name: (history.steps.tolist(), history.values.tolist()) for name, history in found.items()}
