"""What a checkpoint is gone on with: changed settings, runs that have ended, runs that others train."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.killing.attempts import RUN
from benchmarks.killing.stored import stored_points
from lit_lossopt.__main__ import main
from lit_lossopt.tracking.journal import Journal
from lit_lossopt.tracking.journal_reading import read_entries
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.training.checkpoint_file import read_verified
from lit_lossopt.training.continuation import changed_settings
from lit_lossopt.training.resume import unfinished_checkpoint

pytestmark = pytest.mark.usefixtures("store")

MOMENTUM = [*RUN, "--config=sgd_momentum", "--trainer.enable_progress_bar=false"]
LAST = "--ckpt_path=last"
ONE, TWO, THREE = (f"--trainer.max_epochs={count}" for count in (1, 2, 3))


def runs() -> list[Run]:
    return read_runs("lit_lossopt")


def rates(run: Run) -> list[float]:
    return [float(rate) for rate in stored_points(run.run_id, "train/lr").values]


def test_a_changed_rate_is_used_and_not_the_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MOMENTUM, ONE]) == 0
    assert main([*MOMENTUM, LAST, TWO, "--model.optimizer.lr=0.5"]) == 0
    shown = capsys.readouterr().out
    assert "model.optimizer.lr: 0.01 → 0.5; trainer.max_epochs: 1 → 2; optimizer and schedule begin afresh" in shown
    assert main([*MOMENTUM, LAST, THREE, "--resume=force", "--model.optimizer.lr=0.7"]) == 0
    assert "model.optimizer.lr: 0.5 → 0.7" in capsys.readouterr().out
    first, second = runs()
    assert rates(first) == [0.01] * 8
    assert rates(second) == [0.5] * 8 + [0.7] * 8


def test_a_changed_budget_leaves_the_optimizer_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MOMENTUM, TWO]) == 0
    whole = stored_points(runs()[-1].run_id, "train/loss").values
    assert main([*MOMENTUM, ONE]) == 0
    assert main([*MOMENTUM, LAST, TWO, "--resume=force"]) == 0
    assert "afresh" not in capsys.readouterr().out
    np.testing.assert_array_equal(stored_points(runs()[-1].run_id, "train/loss").values, whole)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        pytest.param(["--config=sgd_momentum"], ["--config=adam"], marks=pytest.mark.slow),
        (["--config=adam"], ["--config=sgd_momentum"]),
        (
            ["--config=sgd_momentum"],
            ["--config=sgd_momentum", "--model.optimizer.weight_decay=0.1", "--model.decay_biases=false"],
        ),
        pytest.param(
            ["--config=sgd_momentum"], ["--config=sgd_momentum", "--model.lr_warmup=3"], marks=pytest.mark.slow
        ),
    ],
)
def test_another_optimizer_goes_on_with_the_weights(
    then: list[str], now: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, *then, ONE]) == 0
    assert main([*RUN, *now, LAST, TWO]) == 0
    assert "begin afresh" in capsys.readouterr().out
    assert [run.status for run in runs()] == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize(
    ("now", "limit"),
    [
        ([ONE, "--model.optimizer.lr=0.5"], "1 of trainer.max_epochs=1"),
        ([ONE, "--trainer.max_steps=5"], "8 of trainer.max_steps=5"),
    ],
)
def test_where_nothing_is_left_to_train_no_run_begins(
    now: list[str], limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*MOMENTUM, ONE]) == 0
    assert main([*MOMENTUM, LAST, *now]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"nothing is left to train, because it has reached {limit}" in line
    assert len(runs()) == 1


def test_a_changed_schedule_begins_anew() -> None:
    words = [*MOMENTUM, "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1"]
    assert main([*words, ONE]) == 0
    assert main([*words, LAST, THREE, "--model.lr_scheduler.gamma=0.5"]) == 0
    assert rates(runs()[-1]) == [0.01] * 8 + [0.005] * 8


STOPS = ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.min_delta=9"]


def test_a_run_that_was_stopped_early_stays_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MOMENTUM, *STOPS, "--trainer.callbacks.patience=0", "--trainer.max_epochs=9"]
    for more in ([], [LAST], [LAST]):
        assert main([*words, *more]) == 0
        (run,) = runs()
        assert stored_points(run.run_id, "train/loss").steps.tolist() == list(range(1, 9))
    assert run.tags["lossopt.attempt"] == "3"
    # Told to be more patient, it goes on.
    assert main([*words, "--trainer.callbacks.patience=3", LAST, "--resume=force"]) == 0
    shown = capsys.readouterr().out
    assert "patience" in shown
    assert "callbacks begin afresh" in shown
    assert stored_points(run.run_id, "train/loss").steps.tolist() == list(range(1, 25))


@pytest.mark.parametrize(
    "budget",
    [
        pytest.param(["--trainer.max_epochs=9"], marks=pytest.mark.slow),
        ["--trainer.max_epochs=-1", "--trainer.max_steps=70"],
    ],
)
def test_a_collapsed_run_that_is_resumed_at_its_end_stays_collapsed(budget: list[str]) -> None:
    words = [*RUN, "--config=sgd", "--model.optimizer.lr=1e-12", *budget]
    assert main(words) == 0
    (first,) = runs()
    assert first.tags["lossopt.verdict"] == "collapsed"
    assert main([*words, LAST]) == 0
    (second,) = runs()
    assert {name: second.tags[name] for name in ("lossopt.verdict", "lossopt.evidence")} == {
        name: first.tags[name] for name in ("lossopt.verdict", "lossopt.evidence")
    }
    assert len(list(Path("mlruns").rglob("confusion_val.png"))) == 1


def test_a_diverged_run_diverges_again_and_its_last_good_weights_begin_a_new_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    schedule = ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=4", "--model.lr_scheduler.gamma=1e9"]
    words = [*MOMENTUM, *schedule, "--model.lr_scheduler_interval=step", "--checkpoints.every_n_steps=3"]
    assert main(words) == 3
    assert main([*words, LAST]) == 3
    (run,) = runs()
    assert run.tags["lossopt.verdict"] == "diverged"
    (good,) = Path("mlruns").rglob("last_good.ckpt")
    assert main([*MOMENTUM, f"--ckpt_path={good}"]) == 0
    assert "because the checkpoint holds weights alone, and settings have changed" in capsys.readouterr().out
    assert runs()[-1].tags["lossopt.continues"] == run.run_id
    # What the attempt before said of its end is not said of one that ends otherwise.
    assert main([*MOMENTUM, LAST, "--resume=force", f"--ckpt_path={last_of(run)}"]) == 0
    again = next(one for one in runs() if one.run_id == run.run_id)
    assert (again.status, again.tags["lossopt.verdict"]) == ("FINISHED", "completed")
    assert not again.tags["lossopt.evidence"]
    assert "diverged" not in again.tags["mlflow.note.content"]
    assert again.tags["mlflow.note.content"].startswith("`python -m lit_lossopt fit")


def test_a_diverged_run_has_come_to_its_end() -> None:
    schedule = ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=4", "--model.lr_scheduler.gamma=1e9"]
    words = [*MOMENTUM, *schedule, "--model.lr_scheduler_interval=step", "--checkpoints.every_n_steps=3"]
    assert main(words) == 3
    (run,) = runs()
    key = run.tags["lossopt.trial_key"]
    assert last_of(run).is_file()
    assert unfinished_checkpoint("lit_lossopt", key) is None
    # Begun once more, it has not, until it says so.
    journal = Journal(Path("mlruns/journal") / run.run_id)
    journal.append({"kind": "running", "gap": 1.0, "milliseconds": 0})
    journal.acknowledge(journal.size())
    journal.close()
    assert unfinished_checkpoint("lit_lossopt", key) is not None


def last_of(run: Run) -> Path:
    return Path("mlruns/lit_lossopt") / run.run_id / "artifacts/checkpoints/last.ckpt"


def test_a_run_that_another_process_trains_is_not_joined(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MOMENTUM, "--trainer.max_steps=3"]
    assert main(words) == 0
    (run,) = runs()
    other = Journal(Path("mlruns/journal") / run.run_id)
    assert main([*words, LAST]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"run {run.run_id} is being trained or delivered by another process" in line
    other.close()
    assert main([*words, LAST]) == 0


def test_a_run_is_found_by_the_name_its_journal_had_before_it_was_made() -> None:
    logger = RunLogger()
    logger.start("one")
    run_id = str(logger.version)
    (folder,) = Path("mlruns/journal").glob("*")
    name = read_entries(folder)[0]["journal"]
    logger.log_metrics({"a": 1.0}, step=1)
    logger.finalize("failed")
    assert name != folder.name == run_id
    again = RunLogger()
    assert again.resume(name) == 2
    assert again.version == run_id
    again.log_metrics({"a": 1.0}, step=1)
    again.finalize("success")
    assert [path.name for path in Path("mlruns/journal").glob("*")] == [run_id]
    assert stored_points(run_id, "a").steps.tolist() == [1]


def test_a_run_killed_while_the_last_of_it_was_delivered_is_delivered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MOMENTUM, ONE, "--resume=auto"]) == 0
    (run,) = runs()
    delivered = Path("mlruns/journal") / run.run_id / "delivered"
    delivered.write_text(f"{int(delivered.read_text()) - 2:>15}\n")
    capsys.readouterr()
    assert main([*MOMENTUM, ONE, "--resume=auto"]) == 0
    assert "attempt 2" in capsys.readouterr().out
    assert [again.run_id for again in runs()] == [run.run_id]
    assert main([*MOMENTUM, ONE, "--resume=auto"]) == 0
    assert "nothing to resume" in capsys.readouterr().out


def test_a_run_of_a_sweep_goes_on_with_runs_of_that_sweep_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MOMENTUM, "--trainer.max_steps=3", "--resume=auto"]
    sweeps = [f'--tracking.tags={{"lossopt.sweep": "{name}"}}' for name in ("first", "second")]
    for place in ([sweeps[0]], [sweeps[1]], []):
        assert main([*words, *place]) == 0
        assert "nothing to resume" in capsys.readouterr().out
    for run in runs():
        log = Path("mlruns/journal") / run.run_id / "log.jsonl"
        # As an attempt that was killed leaves it.
        log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if '"end"' not in line))
    for place, run in zip(([sweeps[0]], [sweeps[1]], []), runs(), strict=True):
        assert main([*words, *place]) == 0
        assert f"run {run.run_id} goes on" in capsys.readouterr().out


def test_of_a_run_whose_folder_has_moved_the_newest_checkpoint_is_taken() -> None:
    words = [*MOMENTUM, "--trainer.max_steps=3"]
    assert main(words) == 0
    (run,) = runs()
    folder = Path("mlruns/journal") / run.run_id
    log = folder / "log.jsonl"
    # As an attempt that was killed leaves it.
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if '"end"' not in line))
    name = read_entries(folder)[0]["journal"]
    before = Path("mlruns/unsent") / name / "checkpoints/last.ckpt"
    before.parent.mkdir(parents=True)
    before.write_bytes(last_of(run).read_bytes())
    for newest, older in ((before, last_of(run)), (last_of(run), before)):
        os.utime(newest, (2e9, 2e9))
        os.utime(older, (1e9, 1e9))
        found = unfinished_checkpoint("lit_lossopt", run.tags["lossopt.trial_key"])
        assert found is not None
        assert found.samefile(newest)


def test_a_new_run_from_a_checkpoint_has_a_best_state_of_its_own() -> None:
    assert main([*MOMENTUM, ONE]) == 0
    # It never is as good again.
    assert main([*MOMENTUM, LAST, TWO, "--model.optimizer.lr=1e-9", "--model.lr_warmup=0"]) == 0
    first, second = runs()
    assert second.tags["lossopt.continues"] == first.run_id
    assert last_of(second).with_name("best.ckpt").is_file()
    accuracies, best = (stored_points(second.run_id, name) for name in ("val/accuracy", "best/val_accuracy"))
    behind = accuracies.values[accuracies.steps >= best.steps[0]]
    assert best.values.tolist() == np.maximum.accumulate(behind).tolist()


def test_a_run_whose_folder_has_moved_keeps_its_best_state(tmp_path: Path) -> None:
    assert main([*MOMENTUM, "--trainer.max_steps=4"]) == 0
    (run,) = runs()
    best = last_of(run).with_name("best.ckpt")
    content = best.read_bytes()
    moved = tmp_path / "moved"
    last_of(run).parent.rename(moved)
    words = [*MOMENTUM, "--trainer.max_steps=5", "--model.optimizer.lr=1e-9", "--resume=force"]
    assert main([*words, f"--ckpt_path={moved}/last.ckpt"]) == 0
    assert [one.run_id for one in runs()] == [run.run_id]
    assert best.read_bytes() == content


def test_the_last_checkpoint_is_found_where_the_experiment_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*MOMENTUM, "--trainer.max_steps=3"]
    assert main(words) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main([*words, "--seed_everything=1"]) == 0
    assert main([*words, LAST, "--resume=force", "--seed_everything=1", "--trainer.max_steps=5"]) == 0
    first, second = runs()
    assert "lossopt.attempt" not in first.tags
    assert second.tags["lossopt.attempt"] == "2"
    assert len(rates(second)) == 5


def test_a_password_is_no_changed_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "correct horse")
    data = {"class_path": "X", "init_args": {"root": "/at/correct horse/images"}}
    now = {"trainer": {"max_epochs": 3}, "data": data}
    then = json.dumps(now).replace("correct horse", "***")
    assert not changed_settings(then, now)


def test_disk_use_is_capped_and_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*MOMENTUM, ONE, "--checkpoints.every_n_steps=1"]
    assert main([*words, "--checkpoints.max_gigabytes=0.001"]) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("lossopt:"))
    assert "last.previous.ckpt was removed, and will be from now on: checkpoints may take 0.001 GB" in line
    assert space_of(runs()[-1]) <= 1e6
    assert main([*words, "--checkpoints.max_gigabytes=0.0005"]) == 0
    shown = capsys.readouterr().err
    assert shown.count("was removed") == 2
    assert space_of(runs()[-1]) <= 0.5e6


def space_of(run: Run) -> int:
    kept = (Path("mlruns/lit_lossopt") / run.run_id).rglob("*.ckpt")
    return sum({path.stat().st_ino: path.stat().st_size for path in kept}.values())


def test_checkpoints_by_steps_come_after_so_many_steps() -> None:
    words = [*MOMENTUM, "--trainer.max_steps=7", "--trainer.val_check_interval=8", "--checkpoints.every_n_steps=3"]
    assert main(words) == 0
    (last,) = Path("mlruns").rglob("last.previous.ckpt")
    assert read_verified(last)["global_step"] == 6


@pytest.mark.parametrize("typed", ["every_n_steps=0", "every_minutes=-1", "max_gigabytes=0"])
def test_limits_of_checkpoints_are_above_zero(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MOMENTUM, f"--checkpoints.{typed}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "must be above 0" in line
