"""Killed or stopped between the two halves of a pair, a run has the pair whole, and every step once."""

from __future__ import annotations

import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.killing.attempts import EVERYTHING, LBFGS, RUN, Attempts, assert_equal, histories, last_state, read_at
from benchmarks.killing.pause import MOMENT, SIGNAL
from benchmarks.killing.stored import stored_points
from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.training.probe_schedule import probe_steps

# Ten epochs of eight steps, and so not every step is measured.
EPOCHS, PLANNED = 10, 80
MANY = "--probe.images=256"
SELDOM = [*EVERYTHING, MANY, f"--trainer.max_epochs={EPOCHS}", "--trainer.val_check_interval=8"]
LONG = [*SELDOM, "--checkpoints.every_n_steps=1"]
STEPS = list(probe_steps(0, PLANNED, batch_size=32, images=256))


def half(at_validation: bool, more: int = PLANNED) -> int:
    """Return the first step of a pair, behind which a state is saved, and a validation comes or not.

    Args:
        at_validation: whether an epoch ends with it.
        more: a last planned step under which it belongs to no pair.
    """
    others = set(probe_steps(0, more, batch_size=32, images=256)) if more != PLANNED else set()
    return next(
        step
        for step, following in pairwise(STEPS[5:])
        if following == step + 1
        and (step % 8 == 0 if at_validation else step % 4 != 0)
        and not {step, following} & others
    )


@pytest.fixture(autouse=True)
def _store(empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Attempts.store = empty_store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")


@pytest.fixture(scope="session")
def undisturbed(zygote: Zygote, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Attempts:
    Attempts.store = empty_store
    attempts = Attempts(zygote, tmp_path_factory.mktemp("undisturbed"), *SELDOM)
    assert attempts.finish() == 0, attempts.output.read_text()
    return attempts


@pytest.mark.parametrize("at_validation", [False, True])
def test_killed_between_the_halves_of_a_pair_it_ends_as_if_it_had_not_been(
    at_validation: bool, zygote: Zygote, undisturbed: Attempts, tmp_path: Path
) -> None:
    first = half(at_validation)
    attempts = Attempts(zygote, tmp_path / "run", *LONG)
    # Behind the step of the second half, before anything is measured there.
    assert attempts.kill_at("batch", first + 1), attempts.output.read_text()
    assert last_state(attempts.folder)["global_step"] == first
    assert attempts.finish("--ckpt_path=last") == 0, attempts.output.read_text()
    assert_equal(attempts.folder, undisturbed.folder)
    steps, _ = histories(attempts.folder)["train/probe_loss"]
    assert steps == STEPS
    assert {first, first + 1} <= set(steps)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["--config=schedule_free", "--data=DigitsDataModule"],
        LBFGS,
        ["--trainer.accumulate_grad_batches=2", "--trainer.max_epochs=20"],
        ["--model.frozen_epochs=2"],
    ],
)
def test_every_kind_of_training_has_its_pairs_whole(words: list[str], zygote: Zygote, tmp_path: Path) -> None:
    given = [word for word in EVERYTHING if "lr_scheduler" not in word and "lr_warmup" not in word]
    long = [*given, MANY, f"--trainer.max_epochs={EPOCHS}", "--checkpoints.every_n_steps=1", *words]
    whole = Attempts(zygote, tmp_path / "whole", *long)
    assert whole.finish() == 0, whole.output.read_text()
    attempts = Attempts(zygote, tmp_path / "run", *long)
    for batch, resume in ((half(at_validation=False) + 1, []), (16, ["--ckpt_path=last"]), (9, ["--ckpt_path=last"])):
        assert attempts.kill_at("batch", batch, *resume), attempts.output.read_text()
    assert attempts.finish("--ckpt_path=last") == 0, attempts.output.read_text()
    assert_equal(attempts.folder, whole.folder)


@pytest.mark.slow
def test_more_epochs_leave_the_pair_that_was_begun_whole(zygote: Zygote, tmp_path: Path) -> None:
    longer = 13 * 8
    first = half(at_validation=False, more=longer)
    attempts = Attempts(zygote, tmp_path / "run", *LONG)
    within = {MOMENT: f"batch:{first}", SIGNAL: str(int(signal.SIGTERM))}
    assert attempts.finish(**within) == 143, attempts.output.read_text()
    assert last_state(attempts.folder)["global_step"] == first
    more = ["--ckpt_path=last", "--resume=force", "--trainer.max_epochs=13"]
    assert attempts.finish(*more) == 0, attempts.output.read_text()
    expected = [step for step in STEPS if step <= first + 1]
    expected += [step for step in probe_steps(0, longer, batch_size=32, images=256) if step > first + 1]
    assert histories(attempts.folder)["train/probe_loss"][0] == expected


def test_a_new_run_from_a_checkpoint_has_a_schedule_of_its_own(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    assert main([*RUN, *EVERYTHING, MANY]) == 0
    assert main([*RUN, *EVERYTHING, MANY, "--ckpt_path=last", "--trainer.max_epochs=13"]) == 0
    begun, continuing = read_runs("lit_lossopt")
    np.testing.assert_array_equal(stored_points(begun.run_id, "train/probe_loss").steps, np.arange(25))
    found = stored_points(continuing.run_id, "train/probe_loss").steps.tolist()
    assert found == list(probe_steps(0, 104, batch_size=32, images=256, first=24))
    assert (found[0], found[-1]) == (24, 104)


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_its_images(zygote: Zygote, tmp_path: Path) -> None:
    whole = Attempts(zygote, tmp_path / "whole", *EVERYTHING, "--probe.images=50")
    assert whole.finish() == 0, whole.output.read_text()
    attempts = Attempts(zygote, tmp_path / "run", *EVERYTHING, "--probe.images=50", "--checkpoints.every_n_steps=1")
    assert attempts.kill_at("batch", 10), attempts.output.read_text()
    assert attempts.finish("--resume=auto", "--probe.images=70") == 0, attempts.output.read_text()
    assert "probe.images=70: this run began with 50 and keeps that number" in attempts.output.read_text()
    assert_equal(attempts.folder, whole.folder)


@pytest.mark.slow
def test_switched_off_a_run_goes_on_without_it_and_on_again_with_it(zygote: Zygote, tmp_path: Path) -> None:
    attempts = Attempts(zygote, tmp_path / "run", *EVERYTHING, "--checkpoints.every_n_steps=1")
    assert attempts.kill_at("batch", 6), attempts.output.read_text()
    assert attempts.kill_at("batch", 6, "--resume=auto", "--probe.images=0"), attempts.output.read_text()
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    assert len(read_runs_at(attempts.folder)) == 1
    assert histories(attempts.folder)["train/probe_loss"][0] == [*range(6), *range(10, 25)]


def read_runs_at(folder: Path) -> list[str]:
    read_at(folder)
    return [run.run_id for run in read_runs("lit_lossopt")]
