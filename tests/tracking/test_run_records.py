"""Runs that are started twice, moved, or known by two ids; clocks that go back; files that kills leave behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from benchmarks.killing.attempts import OFTEN, Attempts, read_at
from benchmarks.killing.pause import MARK, MOMENT
from benchmarks.killing.stored import stored_points
from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import Zygote, alive
from lit_lossopt.__main__ import main
from lit_lossopt.core.names import Verdict
from lit_lossopt.inference.load import find_saved
from lit_lossopt.tracking.journal import JournalBusyError
from lit_lossopt.tracking.journal_reading import read_entries
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.tracking.run_journals import claim
from tests.tracking.test_tracking_faults import Server, Training, server

__all__ = ["server"]


@pytest.fixture(autouse=True, scope="session")
def _store(empty_store: Path) -> None:
    Attempts.store = empty_store


def wait_for_mark(folder: Path, process: int, output: Path) -> None:
    wait_until(lambda: (folder / MARK).exists() or not alive(process), output.read_text)
    assert (folder / MARK).exists(), output.read_text()


def test_resumed_twice_before_its_first_checkpoint_there_is_one_run(zygote: Zygote, tmp_path: Path) -> None:
    attempts = Attempts(zygote, tmp_path / "run")
    first = attempts.start("--resume=auto", **{MOMENT: "batch:2"})
    wait_for_mark(attempts.folder, first, attempts.output)
    second = Attempts(zygote, tmp_path / "run")
    second.output = tmp_path / "second.txt"
    assert second.finish("--resume=auto") == 2
    lines = [line for line in second.output.read_text().splitlines() if line.startswith("lossopt:")]
    assert len(lines) == 1
    assert lines[0].endswith("wait for it, or stop it")
    # One that was begun without --resume counts as well: by its journal.
    os.kill(first, signal.SIGKILL)
    zygote.wait(first)
    (attempts.folder / MARK).unlink()
    third = attempts.start(**{MOMENT: "batch:2"})
    wait_for_mark(attempts.folder, third, attempts.output)
    assert second.finish("--resume=auto") == 2
    assert "of these settings is being trained or delivered by another process" in second.output.read_text()
    os.kill(third, signal.SIGKILL)
    zygote.wait(third)
    assert len(list((attempts.folder / "mlruns/journal").glob("*/log.jsonl"))) == 2
    # The dead are replaced.
    assert second.finish("--resume=auto") == 0, second.output.read_text()
    assert read_at(attempts.folder).status == "FINISHED"


def test_settings_are_claimed_by_one_process_until_it_ends(zygote: Zygote, tmp_path: Path) -> None:
    holder = zygote.call("tests.support.writers:claim_settings", ["a"], tmp_path, tmp_path / "output.txt")
    wait_for_mark(tmp_path, holder, tmp_path / "output.txt")
    with pytest.raises(JournalBusyError):
        claim(Path("mlruns/journal"), "a")
    claim(Path("mlruns/journal"), "b")()
    os.kill(holder, signal.SIGKILL)
    zygote.wait(holder)
    claim(Path("mlruns/journal"), "a")()


@pytest.mark.parametrize("count", [5, 6, 7])
def test_no_part_of_a_save_outlives_its_run(count: int, zygote: Zygote, tmp_path: Path) -> None:
    # Between the renames of a save: the one before the last has got its name, or the best, and the last has not.
    attempts = Attempts(zygote, tmp_path / "run", OFTEN)
    assert attempts.kill_at("renaming", count), attempts.output.read_text()
    parts = list((attempts.folder / "mlruns").rglob("*.part"))
    assert parts
    uri = {"MLFLOW_TRACKING_URI": f"sqlite:///{attempts.folder}/mlflow.db"}
    assert zygote.wait(zygote.start(["sync"], attempts.folder, tmp_path / "sync.txt", uri)) == 0
    assert not any(part.exists() for part in parts)
    assert attempts.kill_at("renaming", 2, "--ckpt_path=last"), attempts.output.read_text()
    assert attempts.finish("--ckpt_path=last") == 0, attempts.output.read_text()
    assert not list((attempts.folder / "mlruns").rglob("*.part"))


def test_sync_leaves_the_part_of_a_run_that_saves(zygote: Zygote, tmp_path: Path) -> None:
    attempts = Attempts(zygote, tmp_path / "run", OFTEN)
    process = attempts.start(**{MOMENT: "renaming:5"})
    wait_for_mark(attempts.folder, process, attempts.output)
    part = next((attempts.folder / "mlruns").rglob("*.part"))
    uri = {"MLFLOW_TRACKING_URI": f"sqlite:///{attempts.folder}/mlflow.db"}
    assert zygote.wait(zygote.start(["sync"], attempts.folder, tmp_path / "sync.txt", uri)) == 0
    assert part.exists()
    (attempts.folder / MARK).unlink()
    assert zygote.wait(process) == 0
    assert not part.exists()


@pytest.mark.usefixtures("store")
def test_a_clock_that_was_set_back_gives_no_negative_gap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The machine's clock is everybody's, so only that of this program is set: two days ahead at first.
    real = time.time_ns
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: real() + 172_667 * 10**9)
        logger = RunLogger("one", patience=60)
        logger.log_metrics({"a": 1.0}, 1)
        logger.set_verdict(Verdict.INTERRUPTED)
        logger.finalize("success")
    run_id = str(logger.version)
    for attempt in (2, 3):
        again = RunLogger("one", patience=60)
        assert again.resume(run_id) == attempt
        again.log_metrics({"a": 1.0}, attempt)
        again.set_verdict(Verdict.INTERRUPTED)
        again.finalize("success")
    assert capsys.readouterr().err.count("the clock was set back") == 2
    (run,) = read_runs("one")
    assert json.loads(run.tags["lossopt.gap_seconds"]) == [None, None]


def test_a_run_is_known_by_both_its_ids_and_what_waited_for_its_store_goes(
    server: Server, tmp_path: Path, zygote: Zygote, capsys: pytest.CaptureFixture[str]
) -> None:
    server.kill()
    words = ["--trainer.max_epochs=3", "--tracking.patience=1"]
    training = Training(zygote, tmp_path, *words, MLFLOW_TRACKING_URI=server.uri)
    assert training.wait() == 0
    (journal,) = Path("mlruns/journal").glob("*/")
    former = journal.name
    assert f"run {former} in experiment" in training.output.read_text()
    waiting = Path("mlruns/unsent") / former / "checkpoints"
    kept = {file.name: file.read_bytes() for file in waiting.iterdir()}
    assert main(["sync", former[:9]]) == 1
    assert waiting.is_dir()
    server.start()
    assert main(["sync", former[:9]]) == 0
    (run,) = read_runs("lit_lossopt")
    assert f"{run.run_id} (called {former} before its store had answered)" in capsys.readouterr().out
    assert not waiting.parent.parent.exists()
    stored = next(tmp_path.rglob("artifacts/checkpoints"))
    assert {file.name: file.read_bytes() for file in stored.iterdir()} == kept
    for name in (former, former[:9], run.run_id):
        assert [one.run_id for one in read_runs(run_ids=[name])] == [run.run_id]
        assert find_saved(name).run == run.run_id
        assert main(["sync", name]) == 0
        assert main(["export", name, "--to", "model.safetensors", "--overwrite"]) == 0
        assert run.run_id in capsys.readouterr().out
    for name in (former, run.run_id):
        logger = RunLogger(patience=60)
        logger.resume(name)
        assert logger.version == run.run_id
        logger.set_verdict(Verdict.COMPLETED)
        logger.finalize("success")
    assert len(MlflowClient().search_runs(["1"])) == 1


@pytest.mark.slow
def test_what_waits_stays_until_the_store_has_each_of_its_files(
    server: Server, tmp_path: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.kill()
    training = Training(zygote, tmp_path, "--trainer.max_epochs=1", MLFLOW_TRACKING_URI=server.uri)
    assert training.wait() == 0
    (waiting,) = Path("mlruns/unsent").glob("*/checkpoints")
    server.start()
    keep = "lit_lossopt.tracking.store.Store.keep"
    with monkeypatch.context() as patch:
        # A store that says yes and keeps nothing.
        patch.setattr(keep, lambda *_: None)
        assert main(["sync"]) == 0
    assert (waiting / "last.ckpt").is_file()


def test_a_run_in_a_folder_that_was_moved_is_delivered_resumed_and_loaded_there(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = Attempts(zygote, tmp_path / "old", OFTEN)
    assert attempts.kill_at("batch", 10), attempts.output.read_text()
    new = tmp_path / "new"
    (tmp_path / "old").rename(new)
    monkeypatch.chdir(new)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new}/mlflow.db")
    assert main(["sync"]) == 0, capsys.readouterr()
    (run,) = read_runs("lit_lossopt")
    assert run.status == "KILLED"
    assert not (tmp_path / "old").exists()
    attempts.folder, attempts.output = new, new / "output.txt"
    (new / MARK).unlink()
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    assert re.search(r"goes on at step \d+, attempt 2", attempts.output.read_text())
    assert "nothing to resume" not in attempts.output.read_text()
    (run,) = read_runs("lit_lossopt")
    assert run.status == "FINISHED"
    assert len(stored_points(run.run_id, "train/loss").steps) == 24
    assert find_saved(run.run_id, "last").path.is_relative_to(new)
    # A new one too, although the experiment was made elsewhere.
    assert attempts.finish("--seed_everything=1") == 0, attempts.output.read_text()
    assert [one.status for one in read_runs("lit_lossopt")] == ["FINISHED"] * 2
    for one in read_runs("lit_lossopt"):
        assert (new / "mlruns/lit_lossopt" / one.run_id / "artifacts/config.yaml").is_file()
    assert not (tmp_path / "old").exists()


def test_a_copied_folder_leaves_the_original_alone(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = Attempts(zygote, tmp_path / "old", OFTEN)
    assert attempts.kill_at("batch", 10), attempts.output.read_text()
    new = Path(shutil.copytree(tmp_path / "old", tmp_path / "new"))
    before = {path: path.read_bytes() for path in (tmp_path / "old").rglob("*") if path.is_file()}
    monkeypatch.chdir(new)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new}/mlflow.db")
    assert main(["sync"]) == 0, capsys.readouterr()
    attempts.folder, attempts.output = new, new / "output.txt"
    (new / MARK).unlink()
    assert attempts.finish("--resume=auto") == 0, attempts.output.read_text()
    assert {path: path.read_bytes() for path in (tmp_path / "old").rglob("*") if path.is_file()} == before
    (run,) = read_runs("lit_lossopt")
    assert run.status == "FINISHED"


def test_a_journal_from_before_is_read_in_a_folder_that_was_moved(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    shutil.move(store, "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/old/mlflow.db")
    logger = RunLogger("one", patience=60)
    logger.log_metrics({"a": 1.0}, 1)
    logger.finalize("success")
    (journal,) = Path("mlruns/journal").glob("*/")
    kinds = [entry["kind"] for entry in read_entries(journal)]
    assert "uri" in read_entries(journal)[kinds.index("run")]
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new/mlflow.db")
    (tmp_path / "new" / journal / "verified").unlink()
    assert main(["sync"]) == 0
    assert not (tmp_path / "old").exists()
