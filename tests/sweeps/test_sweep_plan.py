"""Which trials a plan makes, which of them wins, and when the grid is extended: pure functions."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps import estimate
from lit_lossopt.sweeps.options import read_options, resources
from lit_lossopt.sweeps.plan.arms import Reach, arms, points_of
from lit_lossopt.sweeps.plan.key import fingerprint
from lit_lossopt.sweeps.plan.points import LEARNING_RATE, LogGrid, QuasiRandom, Range
from lit_lossopt.sweeps.plan.trials import repeats, search_trials
from lit_lossopt.sweeps.selection import edge, final, winner
from lit_lossopt.tracking.trial_runs import TrialRun
from tests.support.plans import plan

RATES = {"from": 0.001, "to": 0.1, "points": 5}


def rates(grid: LogGrid, *reach: int) -> list[float]:
    return [point[LEARNING_RATE] for point in grid.points(*reach)]


def test_the_grid_is_exact_and_goes_on_in_its_ratio() -> None:
    assert rates(LogGrid(0.001, 0.1, 3)) == [0.001, 0.01, 0.1]
    assert rates(LogGrid(0.001, 0.1, 5)) == [0.001, 0.003162, 0.01, 0.03162, 0.1]
    assert rates(LogGrid(0.001, 0.1, 3), 2, 1) == [1e-05, 0.0001, 0.001, 0.01, 0.1, 1.0]
    assert rates(LogGrid(3e-4, 3e-3, 2), 1, 1) == [3e-05, 0.0003, 0.003, 0.03]


def test_quasi_random_points_depend_on_the_seed_alone_and_fill_their_box() -> None:
    space = {LEARNING_RATE: Range(1e-4, 1e-1), "model.network.dropout": Range(0, 0.5, "linear")}
    points = QuasiRandom(space, 64, seed=1).points()
    assert points == QuasiRandom(space, 64, seed=1).points()
    assert points != QuasiRandom(space, 64, seed=2).points()
    assert points[:9] == QuasiRandom(space, 9, seed=1).points()
    # Recorded: other versions of scipy must not move them, or finished trials would be repeated.
    assert points[0] == {LEARNING_RATE: 0.000253, "model.network.dropout": 0.4237}
    shares = np.array([[math.log10(p[LEARNING_RATE]) / 3 + 4 / 3, p["model.network.dropout"] / 0.5] for p in points])
    assert shares.min() >= 0
    assert shares.max() <= 1
    for axis in (0, 1):
        assert set(np.histogram(shares[:, axis], bins=8, range=(0, 1))[0]) <= {6, 7, 8, 9, 10}


def test_arms_are_all_combinations_of_levels() -> None:
    losses = {name: {"model.criterion": f"{name}Loss"} for name in ("CrossEntropy", "MSE", "L1")}
    optimizers = {"sgd": {"model.optimizer": "SGD"}, "adam": {"model.optimizer": "Adam"}}
    read = plan(factors={"optimizer": optimizers, "loss": losses}, tuning_seeds=2, learning_rates=RATES)
    assert [arm.name for arm in arms(read)] == [f"{a} {b}" for a, b in itertools.product(optimizers, losses)]
    trials = search_trials(read)
    assert len(trials) == 6 * 5 * 2
    assert len({trial.key for trial in trials}) == len(trials)
    counts = {arm.name: sum(trial.arm == arm.name for trial in trials[:12]) for arm in arms(read)}
    assert set(counts.values()) == {2}


def test_a_grid_is_every_cell() -> None:
    trials = search_trials(plan(protocol="grid", seeds=4))
    assert len(trials) == 2 * 3 * 4
    assert {trial.phase for trial in trials} == {"grid"}
    assert len(search_trials(plan(protocol="grid", seeds=4, learning_rates=None))) == 2 * 4
    assert [arm.name for arm in arms(plan(protocol="grid", factors=None))] == ["plan"]


def test_repeats_are_the_winners_with_fresh_seeds() -> None:
    read = plan(seeds=3)
    again = repeats(read, {"sgd": {LEARNING_RATE: 0.1}})
    assert [(trial.arm, trial.seed, trial.phase) for trial in again] == [("sgd", seed, "repeat") for seed in (1, 2, 3)]
    assert {trial.point[LEARNING_RATE] for trial in again} == {0.1}
    assert not {trial.key for trial in again} & {trial.key for trial in search_trials(read)}


def test_the_words_of_a_trial_are_what_a_person_would_type() -> None:
    level = {"config": "sgd_momentum", "model.optimizer.momentum": 0.8}
    read = plan("--config", "digits", "--trainer.max_epochs=2", factors={"optimizer": {"momentum": level}})
    assert " ".join(search_trials(read)[0].words) == (
        "fit --config sgd_momentum --config digits --data=DigitsDataModule --model.optimizer.momentum=0.8 "
        "--model.optimizer.lr=0.001 --trainer.max_epochs=2 --seed_everything=0 --threads=1"
    )


def test_where_there_are_gpus_the_words_name_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = tmp_path / "nvidia-smi"
    there.write_text("#!/bin/sh\necho 'GPU 0: One'\necho 'GPU 1: Two'\n")
    there.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def device(torch: str, *words: str) -> tuple[float, list[str], str]:
        monkeypatch.setattr("lit_lossopt.sweeps.engines.gpu_slots.version", lambda _: torch)
        read, options = plan(*words), read_options(["--config", "plan.yaml", *words])
        trial = search_trials(read)[0]
        named = [word for word in trial.words if word.startswith("--trainer.accelerator")]
        return resources(read, options).gpus, named, trial.key

    assert device("2.11.0")[:2] == (1.0, ["--trainer.accelerator=gpu"])
    assert device("2.11.0", "--gpus=0")[:2] == (0.0, ["--trainer.accelerator=cpu"])
    assert device("2.11.0", "--trainer.accelerator=cpu")[:2] == (0.0, ["--trainer.accelerator=cpu"])
    assert device("2.11.0+cpu")[:2] == (0.0, [])
    assert device("2.11.0")[2] != device("2.11.0", "--gpus=0")[2]


@pytest.mark.parametrize("epochs", ["null", "-1"])
def test_no_limit_of_epochs_is_no_time_or_that_of_the_steps(epochs: str) -> None:
    endless = plan(f"--trainer.max_epochs={epochs}")
    assert "time: not known" in "\n".join(estimate.lines(endless, 1, keep_checkpoints=False))
    by_steps = [
        estimate.cost(search_trials(plan("--trainer.max_steps=40", limit))[0]).seconds
        for limit in (f"--trainer.max_epochs={epochs}", "--trainer.max_epochs=1000")
    ]
    assert by_steps[0] == by_steps[1] > 0


def test_a_share_of_the_batches_takes_a_share_of_the_time() -> None:
    whole, half = (
        estimate.cost(search_trials(plan(*words))[0]) for words in ([], ["--trainer.limit_train_batches=0.5"])
    )
    assert half.seconds < whole.seconds
    assert half.bytes < whole.bytes


@pytest.mark.parametrize("word", ["logger=false", "fast_dev_run=true", "fast_dev_run=2", "limit_val_batches=0"])
def test_what_would_leave_no_results_is_refused(word: str) -> None:
    with pytest.raises(UserError, match=f"plan.yaml, arm sgd: trainer.{word.partition('=')[0]}"):
        plan(f"--trainer.{word}")


def test_every_arm_gets_the_same_number_of_points() -> None:
    levels: dict[str, Any] = {"a": {"learning_rates": RATES}, "b": {"model.optimizer": "SGD"}}
    with pytest.raises(UserError, match="b is tried at 3 points and a at 5"):
        plan(factors={"optimizer": levels})


SAME = [
    ["--trainer.enable_progress_bar=false"],
    ["--data.eval_batch_size=7"],
    ["--checkpoints.every_minutes=1"],
    ["--trainer.enable_model_summary=false"],
]
OTHER = [
    ["--trainer.max_epochs=2"],
    ["--data.batch_size=32"],
    ["--config", "mse"],
    ["--threads=2"],
    ["--trainer.gradient_clip_val=1"],
    ["--model.network.dropout=0.1"],
    ["--trainer.callbacks+=EarlyStopping"],
]


@pytest.mark.parametrize("words", SAME, ids=" ".join)
def test_a_key_stays_where_the_result_does(words: list[str]) -> None:
    assert search_trials(plan(*words))[0].key == search_trials(plan())[0].key


@pytest.mark.parametrize("words", OTHER, ids=" ".join)
def test_a_key_changes_where_the_result_can(words: list[str]) -> None:
    assert search_trials(plan(*words))[0].key != search_trials(plan())[0].key


def test_a_key_is_of_settings_and_not_of_how_they_are_said() -> None:
    one = plan(factors={"optimizer": {"sgd": {"config": "sgd"}}}, overlays=["digits"])
    other = plan(
        factors={"any": {"name": {"model": {"optimizer": {"class_path": "torch.optim.SGD"}}}}},
        overlays=["digits"],
        base={"trainer": {"max_epochs": 1}, "data.batch_size": 64},
        learning_rates={"from": 1e-3, "to": 1e-1, "points": 3},
    )
    assert search_trials(one)[0].key == search_trials(other)[0].key


def test_a_fingerprint_is_of_what_the_plan_says() -> None:
    assert fingerprint(plan()) == fingerprint(plan("--tracking.experiment=x"))
    assert fingerprint(plan()) != fingerprint(plan(seeds=3))
    assert fingerprint(plan()) != fingerprint(plan("--trainer.max_epochs=2"))


def test_final_is_the_mean_of_the_last_tenth() -> None:
    assert final([0.1, 0.9]) == 0.9
    assert final([0.0] * 18 + [0.5, 0.7]) == pytest.approx(0.6)
    assert math.isnan(final([]))


def ended(accuracy: float | None) -> TrialRun:
    return TrialRun("run", "diverged" if accuracy is None else "completed", (0.1, accuracy or 0.95))


# Final accuracies at rising rates; None: diverged, -1: failed. Then the index that wins, and the reach that is asked.
CHOICES: list[tuple[list[float | None], int | None, Reach]] = [
    ([0.5, 0.9, 0.6], 1, Reach()),
    ([0.9, 0.8, 0.7], 0, Reach(below=1)),
    ([0.7, 0.8, 0.9], 2, Reach(above=1)),
    ([0.9, 0.9, 0.9], 1, Reach()),
    ([0.9, 0.5, 0.9], 0, Reach(below=1)),
    ([0.3, 0.2, None], 0, Reach(below=1)),
    ([0.2, 0.3, None], 1, Reach()),
    ([None, None, None], None, Reach(below=1)),
    ([-1, 0.4, 0.3], 1, Reach()),
    ([-1, -1, -1], None, Reach()),
    ([None, -1, None], None, Reach()),
]


@pytest.mark.parametrize(("accuracies", "best", "reach"), CHOICES)
def test_the_best_final_accuracy_wins_and_divergence_never(
    accuracies: list[float | None], best: int | None, reach: Reach
) -> None:
    read = plan()
    trials = [trial for trial in search_trials(read) if trial.arm == "adam"]
    results = {trial.key: ended(accuracy) for trial, accuracy in zip(trials, accuracies, strict=True) if accuracy != -1}
    arm = next(arm for arm in arms(read) if arm.name == "adam")
    chosen = winner(arm, Reach(), trials, results)
    assert chosen == (None if best is None else points_of(arm, Reach())[best])
    assert edge(arm, Reach(), trials, results) == reach


def test_several_tuning_seeds_count_by_their_mean_and_one_that_is_missing_leaves_its_point_out() -> None:
    read = plan(tuning_seeds=2)
    arm = next(arm for arm in arms(read) if arm.name == "sgd")
    trials = [trial for trial in search_trials(read) if trial.arm == "sgd"]
    by_rate = {0.001: (0.5, 0.9), 0.01: (0.71, 0.72), 0.1: (0.99, 0.1)}
    results = {trial.key: ended(by_rate[trial.point[LEARNING_RATE]][trial.seed]) for trial in trials}
    assert winner(arm, Reach(), trials, results) == {LEARNING_RATE: 0.01}
    del results[next(trial.key for trial in trials if trial.point[LEARNING_RATE] == 0.01)]
    assert winner(arm, Reach(), trials, results) == {LEARNING_RATE: 0.001}
