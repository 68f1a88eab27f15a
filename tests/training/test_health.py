"""The rules on signals whose answer is known, and what a run that breaks them leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.comparison.measures.judged import judged
from lit_lossopt.comparison.measures.trial import verdict_of
from lit_lossopt.diagnostics.health import AccuracyTrack, LossTrack, never_learned, predicts_one_class, rose
from lit_lossopt.tracking.reading.records import History
from lit_lossopt.tracking.reading.runs import Run, read_runs, with_histories

FALLING = list(np.linspace(2.3, 0.5, 300))


def track(losses: Sequence[float]) -> LossTrack:
    found = LossTrack()
    found.add(losses[:7])
    found.load_state_dict(found.state_dict())
    found.add(losses[7:])
    return found


def test_exploded_is_three_times_the_start() -> None:
    start = [2.0] * 10
    assert not track([*start, *[5.9] * 50]).has_exploded()
    evidence = "median loss 6.1 over the last 50 steps, 2 over the first ten"
    assert track([*start, *[6.1] * 50]).has_exploded() == evidence
    assert not track([*start, *[100.0] * 49]).has_exploded()
    assert not track([*start, *[100.0] * 24, *[1.0] * 26]).has_exploded()
    assert not track(FALLING).has_exploded()


def test_a_negative_loss_that_falls_has_not_exploded() -> None:
    assert not track([*[-1.0] * 10, *[-2.0] * 50]).has_exploded()
    assert track([*[-1.0] * 10, *[1.1] * 50]).has_exploded()


def test_one_class_needs_both_accuracy_and_entropy() -> None:
    classes = np.full(10, 20)
    collapsed = np.zeros((10, 10), dtype=np.int64)
    collapsed[:, 3] = classes
    assert predicts_one_class(collapsed) == "100% of the predictions are one class, accuracy 0.100"
    guessing = np.full((10, 10), 2)
    assert not predicts_one_class(guessing)
    learning = collapsed.copy()
    learning[0] = 0
    learning[0, 0] = 20
    assert not predicts_one_class(learning)
    # Nine in ten of one class: saying so always is as good as the share.
    skewed = np.array([[90, 0], [10, 0]])
    assert predicts_one_class(skewed)
    assert not predicts_one_class(np.array([[80, 10], [5, 5]]))


def test_a_loss_that_never_moved() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, 300)
    still = list(2.3 + noise)
    assert track(still).never_fell(300)
    assert track(still).never_fell(900)
    assert not track(still).never_fell(903)  # the third is not over
    assert not track(FALLING).never_fell(300)
    late = list(2.3 + noise - np.where(np.arange(300) > 240, 0.1, 0))
    assert not track(late).never_fell(300)
    assert not track([*[2.3] * 62, *[0.5] * 53]).never_fell(115)  # seen at the end, between two looks
    assert not track(still[:59]).never_fell(59)  # too short to be judged
    assert not track(still).never_fell(0)


def fit(*words: str, epochs: int = 1, status: int = 0) -> Run:
    command = ["fit", "--config=sgd", "--config=digits", "--threads=1", f"--trainer.max_epochs={epochs}"]
    command += ["--probe.images=0", "--trainer.enable_progress_bar=false", *words]
    assert main(command) == status
    return read_runs("lit_lossopt")[-1]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "evidence"),
    [
        (["--model.optimizer.lr=1e18"], "the loss was not finite at step"),
        # Finite: uphill, along gradients of one size.
        (["--model.optimizer.maximize=true", "--model.criterion=L1Loss"], "median loss"),
    ],
)
def test_a_diverged_run_stops_and_says_where(
    words: list[str], evidence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(*words, epochs=200, status=3)
    assert evidence in run.tags["lossopt.evidence"]
    assert run.tags["lossopt.verdict"] == "diverged"
    assert run.status == "FAILED"
    assert "**diverged**" in run.tags["mlflow.note.content"]
    assert evidence in capsys.readouterr().err
    losses = stored_points(run.run_id, "train/loss")
    last_good = int(run.tags["lossopt.last_good_step"])
    finite = losses.steps[np.isfinite(losses.values)]
    assert last_good <= finite[-1]
    assert losses.steps[-1] - last_good <= 50
    (checkpoint,) = Path("mlruns").rglob("last_good.ckpt")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(bool(torch.isfinite(value).all()) for value in state.values())
    config = checkpoint.parent.parent / "config.yaml"
    assert main(["test", "--config", str(config), f"--ckpt_path={checkpoint}"]) == 0
    assert 0 < read_runs("lit_lossopt")[-1].metrics["test/accuracy"] < 1


@pytest.mark.usefixtures("store")
def test_a_loss_that_never_moves_is_collapsed(capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("--model.optimizer.lr=1e-9", "--model.network.dropout=0", epochs=4)
    assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "collapsed")
    assert f"collapsed: {run.tags['lossopt.evidence']}" in capsys.readouterr().out


@pytest.mark.usefixtures("store")
def test_one_class_only_is_collapsed_and_a_late_start_is_not() -> None:
    # Steps so large that no unit is left alive but the last biases.
    dead = fit("--model.optimizer=Adam", "--model.optimizer.lr=0.3", epochs=4)
    assert dead.tags["lossopt.verdict"] == "collapsed"
    late = ["--model.lr_scheduler=LinearLR", "--model.lr_scheduler.start_factor=1e-9"]
    run = fit(*late, "--model.lr_scheduler.total_iters=4", "--model.optimizer.lr=0.1", epochs=8)
    assert run.metrics["val/accuracy"] > 0.5
    assert run.tags["lossopt.verdict"] == "completed"


FLAT = list(2.3 + np.random.default_rng(0).normal(0, 0.02, 300))
# Losses, the accuracies of evaluations, and whether the run has learned.
SHAPES: dict[str, tuple[list[float], list[float], bool]] = {
    "the loss has a floor": (FLAT, [0.1, 0.14, 0.18, 0.22], True),
    "the loss has a floor, and the rise is a point": (FLAT, [0.1, 0.11], True),
    "the loss has a floor, and the rise is lost again": (FLAT, [0.1, 0.3, 0.1], True),
    "the loss falls and the accuracy does not": (FALLING, [0.1, 0.1, 0.1], True),
    "a third of the budget is flat": (FLAT[:100] + list(np.linspace(2.3, 1, 200)), [0.1, 0.1, 0.5, 0.8], True),
    "nothing moves": (FLAT, [0.1, 0.1, 0.1], False),
    "the accuracy moves by half a point": (FLAT, [0.1, 0.105, 0.1], False),
    "the accuracy falls": (FLAT, [0.3, 0.1, 0.1], False),
}


def matrix(accuracy: float) -> np.ndarray:
    """Return a confusion matrix of ten equal classes, with errors spread over all of them."""
    right, wrong = round(900 * accuracy), round(100 * (1 - accuracy))
    return np.full((10, 10), wrong) + np.diag([right - wrong] * 10)


@pytest.mark.parametrize("shape", SHAPES)
def test_training_and_comparison_judge_by_one_rule(shape: str) -> None:
    losses, accuracies, learned = SHAPES[shape]
    seen = AccuracyTrack()
    for accuracy in accuracies:
        seen.load_state_dict(dict(seen.state_dict()))
        seen.add(matrix(accuracy))
    assert bool(never_learned(track(losses), len(losses), better=seen.has_risen())) != learned
    curves = {
        "train/loss": History(np.arange(len(losses)), np.array(losses)),
        "val/accuracy": History(np.arange(len(accuracies)) * 100, np.array(accuracies)),
    }
    (found,) = judged([Run("id", "one", "FINISHED", {}, {}, {}, histories=curves)], "val/accuracy")
    assert verdict_of(found) == ("completed" if learned else "collapsed")


def test_an_accuracy_rises_above_its_start_or_above_the_largest_class() -> None:
    assert rose([0.1, 0.11])
    assert not rose([0.1, 0.109])
    assert rose([10.0, 11.0]), "of a hundred"
    assert rose([0.95, 0.95], largest_share=0.5), "weights that were trained before"
    assert not rose([0.9, 0.9], largest_share=0.9)
    assert not rose([0.2], largest_share=0.5)
    assert rose([0.2]), "nobody knows"
    assert not rose([])


def test_one_class_is_no_rise() -> None:
    # From a bad start to always the same class: .04 to .1, or, of classes of unequal size, .3 to .6.
    seen, skewed = AccuracyTrack(), AccuracyTrack()
    seen.add(matrix(0.04))
    skewed.add(np.array([[2, 2, 2], [1, 0, 2], [0, 0, 1]]))
    for _ in range(3):
        seen.add(np.full((10, 10), 100) * (np.arange(10) == 3))
        skewed.add(np.array([[6, 0, 0], [3, 0, 0], [1, 0, 0]]))
    assert not seen.has_risen()
    assert not skewed.has_risen()
    seen.add(matrix(0.2))
    assert seen.has_risen()


MIXED = ["--config=augmented", "--model.optimizer.lr=0.01", "--model.optimizer.momentum=0.9"]
# Each learns, slowly or behind a floor of its loss.
LEARNS = {
    "MixUp": [*MIXED, "--data.mixing=MixUp"],
    "CutMix": [*MIXED, "--data.mixing=CutMix"],
    "soft labels of KLDivLoss": [*MIXED[1:], "--data.mixing=MixUp", "--model.criterion=KLDivLoss"],
    "smoothed labels": [*MIXED[1:], "--model.criterion.label_smoothing=0.9"],
    "class weights": [*MIXED[1:], "--model.criterion.weight=[10,.1,.1,.1,.1,.1,.1,.1,.1,.1]"],
    "focal": ["--model.criterion=FocalLoss", "--model.criterion.gamma=5"],
    "a slow warm-up": ["--model.optimizer.lr=0.1", "--model.lr_warmup=100"],
}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("kind", LEARNS)
def test_a_floor_in_the_loss_condemns_no_run_that_learns(kind: str) -> None:
    run = fit(*LEARNS[kind], epochs=8)
    (read,) = with_histories([run])
    accuracy = read.histories["val/accuracy"].values
    assert accuracy.max() > accuracy[0] + 0.05
    assert run.tags["lossopt.verdict"] == "completed"
    assert verdict_of(judged([read], "val/accuracy")[0]) == "completed"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "words",
    [
        ["--model.optimizer.lr=0", "--data.mixing=MixUp"],
        ["--model.optimizer.lr=0", "--model.criterion.label_smoothing=0.9"],
        ["--model.optimizer=Adam", "--model.optimizer.lr=0.3", "--data.mixing=CutMix"],
    ],
)
def test_mixed_labels_hide_no_collapse(words: list[str]) -> None:
    run = fit(*words, epochs=8)
    assert run.tags["lossopt.verdict"] == "collapsed"
    assert verdict_of(judged(with_histories([run]), "val/accuracy")[0]) == "collapsed"


@pytest.mark.usefixtures("store")
def test_of_mixed_labels_the_loss_alone_says_nothing() -> None:
    words = ["--trainer.limit_val_batches=0", "--trainer.num_sanity_val_steps=0", "--model.optimizer.lr=1e-9"]
    assert fit(*words, "--data.mixing=MixUp", epochs=5).tags["lossopt.verdict"] == "completed"
