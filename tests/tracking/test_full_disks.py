"""Disks that are full, out of inodes or read-only: what was logged is stored, or counted as lost; an end stays one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from benchmarks.killing.pause import MARK, MOMENT
from benchmarks.killing.stored import stored_points
from benchmarks.killing.waiting import wait_until
from benchmarks.killing.zygote import Zygote, alive
from lit_lossopt.__main__ import main
from lit_lossopt.core.names import Verdict
from lit_lossopt.tracking.journal_reading import read_entries
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.tracking.reading.runs import Run, read_runs
from tests.support.disks import fail, failing_disk, fill, free, memory_disk, take_inodes
from tests.tracking.test_tracking_faults import DIGITS, Training

FIRST, SECOND = 100, 500


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a small disk of its own."""
    with memory_disk(tmp_path / "disk") as place:
        yield place


def logger_in(folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> RunLogger:
    """Return a logger of a run whose journal lies in a folder, whose store is a file, and that does not wait long."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    # A store on another disk answers, however busy the machine is.
    return RunLogger("one", patience=1 if store.is_relative_to(folder) else 60)


def log(logger: RunLogger, first: int, last: int) -> None:
    for step in range(first, last):
        logger.log_metrics({"a": float(step), "b": float(step)}, step)


def end(logger: RunLogger) -> None:
    """End a run, and let go of its journal, as the end of its process does."""
    journal = logger._journal
    assert journal is not None
    logger.finalize("success")
    with suppress(OSError):
        journal.close()


def counts(store: Path, run_id: str) -> int:
    question = "SELECT COUNT(DISTINCT key || step), COUNT(*) FROM metrics WHERE run_uuid = ?"
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        distinct, count = connection.execute(question, [run_id]).fetchone()
    assert distinct == count
    return int(count)


def logger_id(disk: Path) -> str:
    """Return the id of the one run that has a journal."""
    (journal,) = [path for path in (disk / "mlruns/journal").iterdir() if path.is_dir()]
    return journal.name


def last_stored_step(store: Path) -> int:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=60)) as connection:
        return int(connection.execute("SELECT MAX(step) FROM metrics WHERE key = 'train/loss'").fetchone()[0] or 0)


def no_change(_disk: Path) -> None:
    """Leave a disk as it is."""


def wait_for_pause(folder: Path, process: int, output: Path) -> None:
    wait_until(lambda: (folder / MARK).exists() or not alive(process), output.read_text)
    assert (folder / MARK).exists(), output.read_text()


def the_run() -> Run:
    (run,) = read_runs("one")
    return run


@pytest.mark.parametrize("take", [fill, take_inodes])
@pytest.mark.parametrize("store_there", [False, True])
@pytest.mark.parametrize("freed", [False, True])
def test_what_was_logged_is_stored_or_counted_as_lost(
    take: Callable[[Path], None],
    store_there: bool,
    freed: bool,
    disk: Path,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if store_there:
        store = Path(shutil.copy(store, disk / "mlflow.db"))
    logger = logger_in(disk, store, monkeypatch)
    log(logger, 0, FIRST)
    take(disk)
    log(logger, FIRST, FIRST + SECOND)
    if freed:
        free(disk)
    end(logger)
    said = capsys.readouterr().err.splitlines()
    if not freed:
        free(disk)
    capsys.readouterr()
    assert main(["sync"]) == 0, capsys.readouterr()
    run = the_run()
    assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "completed")
    assert counts(store, run.run_id) + logger.lost.values == 2 * (FIRST + SECOND)
    # Only where neither takes it is anything lost: without inodes, files that are open go on growing.
    assert bool(logger.lost) == (take is fill and store_there and not freed)
    assert ("lossopt.lost" in run.tags) == bool(logger.lost)
    lines = [line for line in said if "lost" in line]
    assert len(lines) == bool(logger.lost)
    if logger.lost:
        assert lines[0].startswith(f"lossopt: {logger.lost.values:,} values (a {logger.lost.points['a']}, b ")
        assert "No space left on device" in lines[0]
        assert run.tags["lossopt.lost"] in lines[0]
    assert "lossopt.undelivered" not in run.tags
    assert main(["sync"]) == 0
    assert "1 were whole" in capsys.readouterr().out


def test_a_run_that_goes_on_logs_nothing_twice_that_the_store_has_and_the_disk_has_not(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "mlflow.db"
    logger = logger_in(disk, store, monkeypatch)
    logger.start("one")
    log(logger, 0, FIRST)
    fill(disk)
    log(logger, FIRST, SECOND)
    logger.set_verdict(Verdict.INTERRUPTED)
    end(logger)
    run_id = str(logger.version)
    assert not logger.lost
    assert counts(store, run_id) == 2 * SECOND
    free(disk)
    logger = logger_in(disk, store, monkeypatch)
    assert logger.resume(run_id) == 2
    log(logger, FIRST // 2, SECOND + 10)
    end(logger)
    assert counts(store, run_id) == 2 * (SECOND + 10)


def test_what_was_lost_before_a_checkpoint_is_still_said_to_be_lost_by_the_run_that_goes_on(
    disk: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Path(shutil.copy(store, disk / "mlflow.db"))
    logger = logger_in(disk, store, monkeypatch)
    logger.start("one")
    log(logger, 0, FIRST)
    fill(disk)
    log(logger, FIRST, SECOND)
    logged = logger.logged()
    assert logged == {"a": SECOND, "b": SECOND}
    logger.set_verdict(Verdict.INTERRUPTED)
    end(logger)
    lost = logger.lost.values
    assert lost
    free(disk)
    capsys.readouterr()
    # A checkpoint on another disk was saved at the end.
    for more in (10, 20):
        logger = logger_in(disk, store, monkeypatch)
        logger.resume(str(logger_id(disk)), logged)
        log(logger, SECOND, SECOND + more)
        logged = logger.logged()
        end(logger)
        assert logger.lost.values == lost
        assert f"{lost:,} values" in capsys.readouterr().err
    run = the_run()
    assert f"{lost:,} values" in run.tags["lossopt.lost"]
    assert counts(store, run.run_id) + lost == 2 * (SECOND + 20)
    # Trained again from an early checkpoint, it lacks nothing any more.
    logger = logger_in(disk, store, monkeypatch)
    logger.resume(run.run_id, {"a": FIRST, "b": FIRST})
    end(logger)
    assert not logger.lost
    assert not the_run().tags["lossopt.lost"]


@pytest.mark.parametrize("logged", [{}, {"a": FIRST}])
def test_what_nobody_knows_to_be_back_stays_lost(
    logged: dict[str, int], tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logger_in(tmp_path, store, monkeypatch)
    log(logger, 0, FIRST)
    # A checkpoint of before says nothing of values, and none says anything of files.
    said = "40 values (a 40)" if not logged else "40 values (a 40) and 1 file"
    logger.log_tags({"lossopt.lost": said})
    end(logger)
    for _ in range(2):
        logger = logger_in(tmp_path, store, monkeypatch)
        logger.resume(the_run().run_id, logged)
        end(logger)
        assert logger.lost.text() == said
        assert the_run().tags["lossopt.lost"] == said


def test_a_run_that_was_killed_while_the_disk_was_full_logs_no_step_twice_and_none_is_missing(
    disk: Path, store: Path, tmp_path: Path, zygote: Zygote
) -> None:
    output, variables = tmp_path / "output.txt", {"MLFLOW_TRACKING_URI": f"sqlite:///{store}"}
    words = [*DIGITS, "--trainer.max_epochs=25", "--allow-import=benchmarks", "--resume=auto"]
    words.append("--trainer.callbacks+=benchmarks.killing.pause.PauseAt")
    process = zygote.start(words, disk, output, {**variables, MOMENT: "batch:100+300"})
    wait_for_pause(disk, process, output)
    fill(disk)
    (disk / MARK).unlink()
    wait_for_pause(disk, process, output)
    wait_until(lambda: last_stored_step(store) >= 200, output.read_text, pause=0.1)
    os.kill(process, signal.SIGKILL)
    zygote.wait(process)
    free(disk)
    (disk / MARK).unlink(missing_ok=True)
    journal = [entry for path in (disk / "mlruns/journal").iterdir() for entry in read_entries(path)]
    journaled = max(point[2] for entry in journal if entry["kind"] == "points" for point in entry["points"])
    # The store has been given what the journal has not.
    assert journaled < last_stored_step(store)
    assert zygote.wait(zygote.start(words, disk, output, variables)) == 0, output.read_text()
    (run,) = read_runs("lit_lossopt")
    assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "completed"), output.read_text()
    counts(store, run.run_id)
    assert stored_points(run.run_id, "train/loss").steps.tolist() == list(range(1, 501))
    assert not run.tags.get("lossopt.lost")


def test_a_file_that_is_put_off_on_a_full_disk_is_counted_as_lost(
    disk: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(disk)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    logger = RunLogger("one", patience=60)
    logger.start("one")
    shutil.rmtree(disk / "mlruns/one", ignore_errors=True)
    (disk / "mlruns/one").touch()
    logger.log_text("what it says", "a.txt")
    fill(disk)
    logger.log_text("what it says", "b.txt")
    end(logger)
    said = capsys.readouterr().err
    assert logger.lost.others["file"] == 2, said
    assert "2 files of this run are lost" in said


def test_a_disk_that_becomes_read_only_ends_no_run_as_killed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with failing_disk(tmp_path / "disk") as disk:
        logger = logger_in(disk, store, monkeypatch)
        log(logger, 0, FIRST)
        fail(disk)
        log(logger, FIRST, FIRST + SECOND)
        end(logger)
        said = capsys.readouterr().err
        assert "did not take the end of this run (Read-only file system); sync asks the store for it" in said
        # The store has all.
        assert not logger.lost
        shutil.copytree(disk / "mlruns", tmp_path / "mlruns")
    monkeypatch.chdir(tmp_path)
    assert not any(entry["kind"] == "end" for path in Path("mlruns/journal").iterdir() for entry in read_entries(path))
    for _ in range(2):
        assert main(["sync"]) == 0
        run = the_run()
        assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "completed")
        assert counts(store, run.run_id) == 2 * (FIRST + SECOND)


def test_a_killed_run_is_still_marked_where_the_disk_was_full(
    disk: Path, store: Path, tmp_path: Path, zygote: Zygote
) -> None:
    training = Training(zygote, disk, "--trainer.max_epochs=1000", MLFLOW_TRACKING_URI=f"sqlite:///{store}")
    training.wait_for_steps(50)
    fill(disk)
    assert training.kill() == -signal.SIGKILL
    free(disk)
    output = tmp_path / "sync.txt"
    assert zygote.wait(zygote.start(["sync"], disk, output, {"MLFLOW_TRACKING_URI": f"sqlite:///{store}"})) == 0
    (run,) = read_runs("lit_lossopt")
    assert (run.status, run.tags["lossopt.verdict"]) == ("KILLED", "interrupted")


@pytest.mark.parametrize("freed", [False, True])
def test_a_training_says_once_what_it_lost_and_its_exit_status_tells(
    freed: bool, disk: Path, empty_store: Path, tmp_path: Path, zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{shutil.copy(empty_store, disk / 'mlflow.db')}"
    output = tmp_path / "output.txt"
    words = [*DIGITS, "--trainer.max_epochs=30", "--tracking.patience=1", "--allow-import=benchmarks"]
    pause = ["--trainer.callbacks+=benchmarks.killing.pause.PauseAt"]
    variables = {"MLFLOW_TRACKING_URI": uri, MOMENT: "batch:100+300"}
    process = zygote.start([*words, *pause], disk, output, variables)
    for change in (fill, free if freed else no_change):
        wait_for_pause(disk, process, output)
        change(disk)
        (disk / MARK).unlink()
    status = zygote.wait(process)
    said = output.read_text()
    assert said.count("cannot be written") == 1, said
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    if not freed:
        free(disk)
    assert zygote.wait(zygote.start(["sync"], disk, tmp_path / "sync.txt", {"MLFLOW_TRACKING_URI": uri})) == 0
    (run,) = read_runs("lit_lossopt")
    assert (run.status, run.tags["lossopt.verdict"]) == ("FINISHED", "completed")
    stored = len(stored_points(run.run_id, "train/loss").steps)
    if freed:
        assert (status, stored) == (0, 600), said
        assert "checkpoints could not be written; the last one is whole" in said
    else:
        assert status == 4, said
        lost = int(re.findall(r"train/loss ([\d,]+)", said)[0].replace(",", ""))
        assert 0 < stored < 600
        assert stored + lost == 600
        assert "checkpoints could not be written; the state in which training ended is lost" in said
    assert "Traceback" not in said


def test_a_disk_that_is_full_from_the_start_is_one_line_and_no_run(
    disk: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(disk)
    monkeypatch.chdir(disk)
    assert main([*DIGITS, "--trainer.max_epochs=1"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{disk}" in line
    assert "No space left on device" in line
    assert not MlflowClient(f"sqlite:///{store}").search_runs(["0"])
