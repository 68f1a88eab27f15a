"""What travels between a training and the process that works with its store."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE

from benchmarks.killing.waiting import LONGEST, wait_until
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.entries import points_entry, tags_entry
from lit_lossopt.tracking.journal import Journal
from lit_lossopt.tracking.journal_reading import LOG, entries_between
from lit_lossopt.tracking.remote_store import DEATHS, RemoteStore
from lit_lossopt.tracking.run_store import RunGoneError, StoreError, is_final, tell, understood
from lit_lossopt.tracking.store_process import ProcessGoneError, StoreProcess, running_process
from lit_lossopt.tracking.store_server import Request


@pytest.mark.parametrize(
    ("error", "kind", "final"),
    [
        (UserError("it was deleted"), UserError, True),
        (RunGoneError("no run"), RunGoneError, False),
        (ModuleNotFoundError("boto3"), ImportError, False),
        (PermissionError("no"), OSError, False),
        (MlflowException("bad", INVALID_PARAMETER_VALUE), StoreError, True),
        (MlflowException("busy", INTERNAL_ERROR), StoreError, False),
        (ZeroDivisionError("x"), StoreError, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_arrive_as_what_they_mean(error: Exception, kind: type[Exception], final: bool) -> None:
    arrived = understood(tell(error))
    assert type(arrived) is kind
    assert str(arrived) == str(error)
    assert is_final(error) == is_final(arrived) == final


def test_passwords_do_not_travel() -> None:
    assert "secret" not in tell(ValueError("http://me:secret@host/x is gone")).text


def test_lines_are_told_apart_without_being_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "one")
    entries = [
        {"kind": "run", "journal": "one"},
        tags_entry({"kind": "points"}),
        points_entry([("a", 1.0, 1, 1)]),
        {"kind": "file", "name": "x", "folder": ""},
        points_entry([("a", float("nan"), 2, 2)]),
    ]
    journal.append(*entries)
    for position in range(6):
        for limit in range(1, 7):
            stretch, slow = journal.stretch(position, limit, 10_000), journal.entries(position, limit)
            assert list(stretch.kinds) == [entry["kind"] for entry in slow]
            if slow:
                assert repr(entries_between(journal.folder, stretch.places[0], stretch.places[-1])) == repr(slow)
    assert [len(journal.stretch(0, 9, size).kinds) for size in (0, 100, 10_000)] == [1, 2, 5]
    assert journal.stretch(0, 9, 10_000).before(("file",)).kinds == ("run", "tags", "points")
    assert journal.stretch(3, 9, 10_000).before(("file",)).kinds == ()
    journal.close()


def test_an_altered_line_keeps_its_place(tmp_path: Path) -> None:
    with_two = Journal(tmp_path / "one")
    with_two.append(points_entry([("a", 1.0, 1, 1)]), points_entry([("a", 2.0, 2, 2)]))
    with_two.close()
    file = tmp_path / "one" / LOG
    file.write_bytes(file.read_bytes().replace(b"1.0", b"7.0", 1))
    again = Journal(tmp_path / "one", existing=True)
    places = again.stretch(0, 9, 10_000).places
    assert [entry["kind"] for entry in entries_between(again.folder, places[0], places[-1])] == ["damaged", "points"]
    again.close()


def test_a_process_ends_with_its_connections_and_is_buried() -> None:
    process = StoreProcess()
    assert process.ask(Request(0, "counts", ("x",))).told
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ProcessGoneError):
        process.ask(Request(0, "counts", ("x",)))
    assert process.dead
    process.close()
    assert not Path(f"/proc/{process.pid}").exists()
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, 0)


def test_a_process_whose_urgent_call_is_stuck_is_busy() -> None:
    process = StoreProcess()
    assert process.ask(Request(0, "counts", ("x",))).told
    os.kill(process.pid, signal.SIGSTOP)

    def ask() -> None:
        with pytest.raises(ProcessGoneError):
            process.ask(Request(0, "counts", ("x",)), urgent=True)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: process.busy)
    process.close()
    thread.join(LONGEST)
    assert not thread.is_alive()


def test_a_store_is_found_where_its_folder_was_moved_although_its_process_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    monkeypatch.chdir(before)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    store = RemoteStore("sqlite:///mlflow.db")
    header = {"experiment": "one", "run_name": "x", "tags": {}, "milliseconds": 1, "journal": "j"}
    run_id, _ = store.create_run({**header, "artifact_root": str(before / "mlruns")})
    store.send(run_id, [points_entry([("a", 1.0, 1, 1)])], before)
    before.rename(after)
    kill_the_process()
    assert store.counts(run_id) == {"a": 1}
    assert not before.exists()
    store.close()


@pytest.mark.slow
def test_a_process_that_dies_now_and_then_is_started_again_however_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = RemoteStore(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for _ in range(DEATHS + 2):
        with pytest.raises(RunGoneError):
            store.find_run("none")
        kill_the_process()
    assert store.elsewhere
    store.close()


def kill_the_process() -> None:
    process = running_process()
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ProcessGoneError):
        process.ask(Request(0, "counts", ("x",)))
