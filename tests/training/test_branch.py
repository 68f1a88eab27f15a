"""A new run that begins from a kept state of another one: where it begins, what it repeats, and what it may change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient

from benchmarks.killing.attempts import EVERYTHING, RUN, TIMES, Attempts
from benchmarks.killing.stored import stored_points
from benchmarks.killing.zygote import Zygote
from lit_lossopt.__main__ import main
from lit_lossopt.config.description import trial_key
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.branches import own_part
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.checkpoint_file import read_verified

pytestmark = pytest.mark.usefixtures("store")

SMALL = [*RUN, "--data.classes=[0,1]", "--data.batch_size=32", "--data.eval_batch_size=16", "--threads=1"]
TRUNK = [*SMALL, "--config=adam", "--data=DigitsDataModule"]
MOMENTUM = ["--model.optimizer=SGD", "--model.optimizer.lr=0.02", "--model.optimizer.momentum=0.9"]


def runs() -> list[Run]:
    return read_runs("lit_lossopt", metrics=None)


def newest() -> Run:
    return runs()[-1]


def assert_same(one: Run, other: Run) -> None:
    """Two runs have the same metrics with the same values at the same steps, but for clocks."""
    assert one.histories.keys() == other.histories.keys()
    for name in one.histories.keys() - set(TIMES):
        np.testing.assert_array_equal(one.histories[name].steps, other.histories[name].steps, name)
        np.testing.assert_array_equal(one.histories[name].values, other.histories[name].values, name)


def weights(run: Run, name: str = "last.ckpt") -> dict[str, np.ndarray]:
    path = next(Path("mlruns").glob(f"*/{run.run_id}/artifacts/checkpoints/{name}"))
    return {key: value.numpy() for key, value in read_verified(path)["state_dict"].items()}


# 8 steps make an epoch, with an evaluation after every fourth: within an epoch, at an evaluation, at an epoch's end.
@pytest.mark.parametrize("step", [6, 12, 16])
def test_a_branch_that_changes_nothing_is_the_run_itself(step: int) -> None:
    whole = [*RUN, *EVERYTHING]
    assert main([*whole, f"--checkpoints.keep_steps=[{step}]"]) == 0
    trunk = newest()
    assert main([*whole, f"--branch={trunk.run_id}@{step}"]) == 0
    branch = newest()
    assert branch.tags[names.TAG_BRANCH] == f"{trunk.run_id}@{step}"
    assert stored_points(branch.run_id, names.TRAIN_LOSS).steps[0] == step + 1
    assert_same(branch, trunk)
    for name, value in weights(trunk).items():
        np.testing.assert_array_equal(value, weights(branch)[name], name)


@pytest.mark.slow
def test_so_is_a_branch_of_a_run_that_was_killed_and_resumed(
    zygote: Zygote, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    Attempts.store = empty_store
    # It is killed by SIGKILL in the tenth batch, and resumed from a state of before.
    attempts = Attempts(zygote, tmp_path / "run", *EVERYTHING, "--checkpoints.every_n_steps=2")
    assert attempts.kill_at("batch", 10), attempts.output.read_text()
    keep = "--checkpoints.keep_steps=[14]"
    assert attempts.finish("--ckpt_path=last", keep) == 0, attempts.output.read_text()
    monkeypatch.chdir(attempts.folder)
    trunk = newest()
    assert trunk.tags[names.TAG_ATTEMPT] == "2"
    # The branch is killed as well, in its fifth batch.
    words = [*EVERYTHING, f"--branch={trunk.run_id}@14", "--checkpoints.every_n_steps=2"]
    branch = Attempts(zygote, attempts.folder, *words)
    assert branch.kill_at("batch", 5), branch.output.read_text()
    assert branch.finish("--resume=auto") == 0, branch.output.read_text()
    assert len(runs()) == 2
    assert newest().tags[names.TAG_ATTEMPT] == "2"
    assert_same(newest(), trunk)


def test_a_branch_goes_on_with_another_optimizer_and_its_config_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[10]"]) == 0
    trunk = newest()
    capsys.readouterr()
    assert main([*TRUNK, *MOMENTUM, f"--branch={trunk.run_id[:8]}@10"]) == 0
    said = capsys.readouterr().out
    assert f"a new run branches off run {trunk.run_id} behind step 10: " in said
    assert 'model.optimizer.class_path: "torch.optim.Adam" → "torch.optim.SGD"; optimizer and schedule begin' in said
    branch = newest()
    rates = branch.histories[names.TRAIN_LR]
    assert rates.values.tolist() == [0.001] * 10 + [0.02] * 14
    losses = [run.histories[names.TRAIN_LOSS].values for run in (trunk, branch)]
    np.testing.assert_array_equal(losses[0][:11], losses[1][:11])  # the first of its own has the trunk's weights
    assert (losses[0][12:] != losses[1][12:]).all()
    assert branch.params["branch"] == "10 steps of adam lr=0.001 CrossEntropyLoss batch_size=32 classes=0,1"
    assert branch.name.endswith(" after 10 steps of adam lr=0.001 CrossEntropyLoss batch_size=32 classes=0,1 seed=0")

    config = next(Path("mlruns").glob(f"*/{branch.run_id}/artifacts/config.yaml"))
    assert yaml.safe_load(config.read_text())["branch"] == f"{trunk.run_id}@10"
    assert main(["fit", "--config", str(config)]) == 0
    assert_same(newest(), branch)


def test_a_branch_of_a_branch_has_all_steps_before_it() -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[5]"]) == 0
    first = newest()
    assert main([*TRUNK, *MOMENTUM, f"--branch={first.run_id}@5", "--checkpoints.keep_steps=[15]"]) == 0
    second = newest()
    assert main([*TRUNK, f"--branch={second.run_id}@15"]) == 0
    third = newest()
    losses = third.histories[names.TRAIN_LOSS]
    assert losses.steps.tolist() == list(range(1, 25))
    np.testing.assert_array_equal(losses.values[:5], first.histories[names.TRAIN_LOSS].values[:5])
    np.testing.assert_array_equal(losses.values[5:15], second.histories[names.TRAIN_LOSS].values[5:15])
    first_part, second_part = third.params["branch"].split(" after ")
    assert first_part == "15 steps of sgd lr=0.02 momentum=0.9 CrossEntropyLoss batch_size=32 classes=0,1"
    assert second_part == "5 steps of adam lr=0.001 CrossEntropyLoss batch_size=32 classes=0,1"
    assert own_part(third).histories[names.TRAIN_LOSS].steps.tolist() == list(range(16, 25))


def test_a_branch_goes_on_although_the_state_of_its_trunk_is_gone() -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[10]", "--tracking.run_name=first"]) == 0
    trunk = newest()
    branch = [*TRUNK, *MOMENTUM, "--branch=first@10", "--trainer.max_epochs=2"]
    # The name of the trunk is also a word of something else, which stays.
    assert main([*branch, "--tracking.run_name=first@10"]) == 0
    typed = json.loads(newest().tags[names.TAG_COMMAND])
    assert {f"--branch={trunk.run_id}@10", "--tracking.run_name=first@10"} <= set(typed)
    config = next(Path("mlruns").glob(f"*/{newest().run_id}/artifacts/config.yaml"))
    last = config.parent / "checkpoints" / "last.ckpt"
    for path in Path("mlruns").glob(f"*/{trunk.run_id}/artifacts/checkpoints/*"):
        path.unlink()
    more = ["--trainer.max_epochs=3", f"--ckpt_path={last}", "--resume=force"]
    assert main(["fit", "--config", str(config), *more]) == 0
    assert len(runs()) == 2
    assert newest().histories[names.TRAIN_LOSS].steps.tolist() == list(range(1, 25))
    assert main(["fit", "--config", str(config)]) == 2


def test_a_branch_whose_trunk_is_gone_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        assert main([*TRUNK, f"--seed_everything={seed}", "--checkpoints.keep_steps=[10]"]) == 0
        assert main([*TRUNK, f"--seed_everything={seed}", *MOMENTUM, f"--branch={newest().run_id}@10"]) == 0
    trunk, branch = runs()[:2]
    assert not branch.missing_trunk
    client = MlflowClient()
    client.delete_run(trunk.run_id)
    # As long as it can be restored, it can be read.
    assert newest().histories[names.TRAIN_LOSS].steps[0] == 1
    client.set_tag(branch.run_id, names.TAG_BRANCH, f"{'0' * 32}@10")
    assert runs()[0].missing_trunk == "0" * 32
    capsys.readouterr()
    assert main(["compare"]) == 0
    assert f"its first steps are gone with run {'0' * 32}, which it branches off" in capsys.readouterr().out


def test_what_cannot_be_branched_off_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[10]", "--tracking.run_name=first"]) == 0
    trunk = newest()

    def said(*words: str) -> str:
        assert main([*TRUNK, *words]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "has kept no state of step 11 (it has those of steps 10, 16, 24" in said(f"--branch={trunk.run_id}@11")
    assert "train it again with --checkpoints.keep_steps=[11]" in said("--branch=first@11")
    assert "--branch: nothing is left to train, because it has reached 3 of trainer.max_epochs=3" in said(
        "--branch=first"
    )
    assert "expected RUN or RUN@STEP" in said(f"--branch={trunk.run_id}@later")
    assert "leave one of them out" in said("--branch=first@10", "--ckpt_path=last")
    assert "no file, no folder, and no run of" in said("--branch=second@10")
    assert "keep_steps: 0 is no step" in said("--checkpoints.keep_steps=[0]")
    path = next(Path("mlruns").glob(f"*/{trunk.run_id}/artifacts/checkpoints/step-10.ckpt"))
    path.write_bytes(path.read_bytes()[:-100])
    assert "step-10.ckpt: not a whole checkpoint" in said("--branch=first@10")
    assert len(runs()) == 1


def test_a_state_is_found_by_name_by_key_and_as_a_file() -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[20]", "--tracking.run_name=first"]) == 0
    trunk = newest()
    path = next(Path("mlruns").glob(f"*/{trunk.run_id}/artifacts/checkpoints/step-20.ckpt"))
    shutil.copy(path, "mine.ckpt")
    for typed in ("first@20", f"{trunk.tags[names.TAG_TRIAL_KEY]}@20", "mine.ckpt"):
        assert main([*TRUNK, f"--branch={typed}"]) == 0
        assert newest().tags[names.TAG_BRANCH] == f"{trunk.run_id}@20"
        assert_same(newest(), trunk)


def test_steps_that_training_never_reached_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[24,30]"]) == 0
    assert "no state of step 30 was kept, because training ended at 24" in capsys.readouterr().err
    folder = next(Path("mlruns").glob("*/*/artifacts/checkpoints"))
    assert {path.name for path in folder.glob("step-*")} == {"step-24.ckpt"}


def test_with_accumulated_batches_the_state_of_the_whole_step_is_kept() -> None:
    accumulated = [*TRUNK, "--trainer.accumulate_grad_batches=2", "--trainer.max_epochs=4"]
    assert main([*accumulated, "--checkpoints.keep_steps=[3,7]"]) == 0
    trunk = newest()
    for step in (3, 7):
        assert main([*accumulated, f"--branch={trunk.run_id}@{step}"]) == 0
        assert_same(newest(), trunk)


def test_a_network_begins_with_the_weights_of_another_run() -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[10]"]) == 0
    trunk = newest()
    other = [*RUN, "--config=adam", "--data=DigitsDataModule", "--data.classes=[2,3,4]"]
    still = [
        "--data.batch_size=32",
        "--data.eval_batch_size=16",
        "--model.frozen_epochs=3",
        "--model.optimizer.lr=0.01",
    ]
    assert main([*other, *still, f"--model.weights={trunk.run_id}@10"]) == 0
    tuned = newest()
    assert tuned.params["weights"] == "10 steps of adam lr=0.001 CrossEntropyLoss batch_size=32 classes=0,1"
    assert tuned.histories[names.TRAIN_LOSS].steps[0] == 1
    kept, now = weights(trunk, "step-10.ckpt"), weights(tuned)
    backbone = [name for name in now if "network." in name and "linear2" not in name]
    assert len(backbone) == 6
    for name in backbone:
        np.testing.assert_array_equal(kept[name], now[name], name)
    assert now["network.linear2.weight"].shape == (3, 128)
    # Where a checkpoint brings all weights, these are not looked for.
    path = next(Path("mlruns").glob(f"*/{tuned.run_id}/artifacts/checkpoints/last.ckpt"))
    assert main(["test", *other[1:], *still, f"--ckpt_path={path}", "--model.weights=gone"]) == 0


def test_weights_that_do_not_fit_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRUNK, "--model.network.hidden=16"]) == 0
    assert main([*TRUNK, f"--model.weights={newest().run_id}"]) == 2
    assert "these are not weights of this MiniCNN: size mismatch for linear1" in capsys.readouterr().err
    assert main([*TRUNK, "--model.weights=nothing"]) == 2
    assert "no file, no folder, and no run" in capsys.readouterr().err


def test_runs_without_a_branch_keep_the_keys_that_they_had() -> None:
    config: dict[str, Any] = {
        "model": {"optimizer": {"class_path": "torch.optim.SGD"}},
        "trainer": {},
        "data": {"class_path": "x"},
    }
    with_none = {**config, "branch": None, "model": {**config["model"], "weights": None}}
    assert trial_key(with_none) == trial_key(config)
    assert trial_key({**with_none, "branch": "one@2"}) != trial_key(config)
    assert trial_key({**with_none, "model": {**config["model"], "weights": "one"}}) != trial_key(config)


def test_own_part_of_a_run_that_is_no_branch_is_all_of_it() -> None:
    run = Run("one", "", "", {}, {}, {})
    assert own_part(run) is run


def test_callbacks_find_the_last_evaluation_at_an_epochs_end() -> None:
    stopping = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"]
    patient = [*stopping, "--trainer.callbacks.patience=2", "--trainer.val_check_interval=1.0"]
    assert main([*TRUNK, *patient, "--checkpoints.keep_steps=[8,11]"]) == 0
    trunk = newest()
    for step in (8, 11):
        assert main([*TRUNK, *patient, f"--branch={trunk.run_id}@{step}"]) == 0
        assert_same(newest(), trunk)


def test_trunks_of_other_data_are_other_arms() -> None:
    trunks = []
    for classes in ("[0,1,2]", "[3,4,5]"):
        assert main([*TRUNK, f"--data.classes={classes}", "--trainer.limit_train_batches=4"]) == 0
        trunks.append(newest().run_id)
    for trunk in trunks:
        assert main([*TRUNK, f"--model.weights={trunk}", "--tracking.experiment=tuned"]) == 0
    found = [run.params["weights"] for run in read_runs("tuned")]
    assert [words.partition("classes=")[2] for words in found] == [
        "0,1,2 limit_train_batches=4",
        "3,4,5 limit_train_batches=4",
    ]
    # A branch of such a run tells of that beginning, too.
    last = read_runs("tuned")[-1]
    assert main([*TRUNK, f"--branch={last.run_id}", "--trainer.max_epochs=4"]) == 0
    assert newest().params["branch"].endswith(f" from {found[1]}")


def test_within_an_epoch_batches_stay_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[8,11]"]) == 0
    run = newest().run_id
    capsys.readouterr()
    for change in ("--data.batch_size=64", "--trainer.limit_train_batches=2", "--data.drop_last=false"):
        assert main([*TRUNK, change, "--trainer.val_check_interval=1.0", f"--branch={run}@11"]) == 2
        assert "--branch: step 11 lies within an epoch, and its batches have changed" in capsys.readouterr().err
    assert main([*TRUNK, "--data.batch_size=64", "--trainer.val_check_interval=1.0", f"--branch={run}@8"]) == 0
    assert main([*TRUNK, "--model.network.hidden=16", f"--branch={run}@8"]) == 2
    assert "--branch: the weights do not fit this network" in capsys.readouterr().err
    assert main([*TRUNK, "--data.classes=[0,2]", f"--branch={run}@8"]) == 2
    assert "--branch: trained on the classes 0, 1" in capsys.readouterr().err
    assert len(runs()) == 2


def test_a_damaged_state_is_passed_over_where_there_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main([*TRUNK, "--checkpoints.keep_steps=[10]"]) == 0
    first, second = runs()
    for name in ("step-10.ckpt", "last.ckpt"):
        path = next(Path("mlruns").glob(f"*/{first.run_id}/artifacts/checkpoints/{name}"))
        path.write_bytes(path.read_bytes()[:-100])
    # By the key of their settings both runs are meant.
    assert main([*TRUNK, f"--branch={first.tags[names.TAG_TRIAL_KEY]}@10"]) == 0
    assert newest().tags[names.TAG_BRANCH] == f"{second.run_id}@10"
    capsys.readouterr()
    assert main([*TRUNK, f"--branch={first.run_id}"]) == 0
    assert "another state is used" in capsys.readouterr().err
    assert newest().tags[names.TAG_BRANCH] == f"{first.run_id}@16"


def test_a_branch_keeps_a_best_state_of_its_own() -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[16]"]) == 0
    trunk = newest()
    assert main([*TRUNK, f"--branch={trunk.run_id}@16"]) == 0
    best = next(Path("mlruns").glob(f"*/{newest().run_id}/artifacts/checkpoints/best.ckpt"))
    assert read_verified(best)["global_step"] > 16


def test_of_runs_with_one_key_the_first_of_the_own_experiment_is_taken() -> None:
    kept = [*TRUNK, "--checkpoints.keep_steps=[10]"]
    for experiment in ("other", "own", "own"):
        assert main([*kept, f"--tracking.experiment={experiment}"]) == 0
    first, second = read_runs("own")
    assert first.tags[names.TAG_TRIAL_KEY] == second.tags[names.TAG_TRIAL_KEY]
    branch = f"--branch={first.tags[names.TAG_TRIAL_KEY]}@10"
    assert main([*TRUNK, branch, "--tracking.experiment=own"]) == 0
    assert read_runs("own")[-1].tags[names.TAG_BRANCH] == f"{first.run_id}@10"
    # Where the own experiment has none, any will do.
    assert main([*TRUNK, branch, "--tracking.experiment=third"]) == 0
    assert names.TAG_BRANCH in read_runs("third")[-1].tags


def test_a_run_from_a_branchs_checkpoint_is_no_branch() -> None:
    assert main([*TRUNK, "--checkpoints.keep_steps=[16]"]) == 0
    assert main([*TRUNK, f"--branch={newest().run_id}@16"]) == 0
    branch = newest()
    path = next(Path("mlruns").glob(f"*/{branch.run_id}/artifacts/checkpoints/last.ckpt"))
    assert main([*TRUNK, f"--ckpt_path={path}", "--trainer.max_epochs=4"]) == 0
    run = newest()
    assert run.tags[names.TAG_CONTINUES] == branch.run_id
    assert "branch" not in run.params
    assert " after " not in run.name
