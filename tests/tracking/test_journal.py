from __future__ import annotations

import fcntl
import math
import os
import resource
import signal
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from lit_lossopt.core import signals
from lit_lossopt.core.files import is_locked, lock_file, try_lock, try_lock_byte, whole_file
from lit_lossopt.tracking.entries import points_entry
from lit_lossopt.tracking.journal import Journal, JournalBusyError
from lit_lossopt.tracking.journal_reading import LOG, read_delivered, read_entries


def entry(number: int) -> dict[str, object]:
    return {"kind": "tags", "tags": {"n": str(number)}}


def test_what_is_appended_is_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append(*map(entry, range(3)))
    journal.append(entry(3))
    assert journal.entries(0, 100) == [entry(n) for n in range(4)]
    assert journal.entries(1, 2) == [entry(1), entry(2)]
    assert journal.entries(0, 1) == [entry(0)]
    assert journal.entries(4, 10) == []
    assert read_entries(tmp_path / "run") == [entry(n) for n in range(4)]
    journal.close()
    again = Journal(tmp_path / "run")
    again.append(entry(4))
    assert again.entries(3, 10) == [entry(3), entry(4)]


def test_numbers_come_back_to_the_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = [struct.unpack("d", random.bytes(8))[0] for _ in range(2000)]
    values = [value for value in values if not math.isnan(value)] + [math.inf, -math.inf, 5e-324, -0.0, 0.1]
    journal = Journal(tmp_path / "run")
    journal.append(points_entry([("a", value, step, 10) for step, value in enumerate(values)]))
    journal.append(points_entry([("a", math.nan, 0, 10)]))
    points = [point for found in read_entries(tmp_path / "run") for point in found["points"]]
    assert [struct.pack("d", point[1]) for point in points[:-1]] == [struct.pack("d", value) for value in values]
    assert math.isnan(points[-1][1])


def test_a_torn_last_line_is_left_out_and_written_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append(*map(entry, range(3)))
    journal.close()
    log = tmp_path / "run" / LOG
    whole = log.read_bytes()
    for cut in range(len(whole.splitlines(keepends=True)[-1])):
        log.write_bytes(whole[: len(whole) - cut - 1])
        assert read_entries(tmp_path / "run") == [entry(0), entry(1)]
    again = Journal(tmp_path / "run")
    again.append(entry(9))
    again.close()
    assert read_entries(tmp_path / "run") == [entry(0), entry(1), entry(9)]


def test_an_altered_line_costs_itself_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append(*map(entry, range(3)))
    journal.close()
    log = tmp_path / "run" / LOG
    whole = log.read_bytes()
    second = whole.index(b"\n") + 1
    for place in range(second, whole.index(b"\n", second)):
        altered = bytearray(whole)
        altered[place] ^= 1
        if altered[place] == ord("\n"):
            continue
        log.write_bytes(altered)
        assert read_entries(tmp_path / "run") == [entry(0), {"kind": "damaged"}, entry(2)]


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    with pytest.raises(JournalBusyError):
        Journal(tmp_path / "run")
    journal.close()
    Journal(tmp_path / "run").close()


def test_a_full_disk_is_waited_for_in_memory(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append(*map(entry, range(5)))
    size = (tmp_path / "run" / LOG).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The operating system refuses to let the file grow by more than half a line.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        journal.append(*map(entry, range(5, 9)))
        assert (tmp_path / "run" / LOG).stat().st_size == size
        assert journal.entries(0, 100) == [entry(n) for n in range(5)]
        assert journal.entries(5, 100) == [entry(n) for n in range(5, 9)]
        assert journal.entries(7, 1) == [entry(7)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append(entry(9))
    assert read_entries(tmp_path / "run") == [entry(n) for n in range(10)]
    assert journal.entries(4, 100) == [entry(n) for n in range(4, 10)]
    assert journal.lost == 0


def test_memory_is_bounded_and_what_is_lost_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_lossopt.tracking.journal.MAX_UNWRITTEN", 3)
    journal = Journal(tmp_path / "run")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        journal.append(*map(entry, range(5)))
        journal.append(entry(5))
        assert journal.lost == 3
        assert journal.entries(0, 10) == [entry(n) for n in range(3)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.close()
    assert read_entries(tmp_path / "run") == [entry(n) for n in range(3)]


def test_confirmations_outlive_the_process_and_its_folders_name(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append(entry(0))
    assert journal.delivered == 0
    journal.acknowledge(1)
    journal.rename("other")
    journal.append(entry(1))
    journal.close()
    assert read_delivered(tmp_path / "other") == 1
    assert len(read_entries(tmp_path / "other")) == 2
    (tmp_path / "other" / "delivered").write_text("x")
    assert read_delivered(tmp_path / "other") == 0


def test_a_name_that_is_taken_leaves_the_folder_where_it_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    journal.rename("other")
    assert journal.folder == tmp_path / "run"


def test_passwords_do_not_reach_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", 'can"ary')
    monkeypatch.setenv("NUMBER_TOKEN", "1795353017")
    journal = Journal(tmp_path / "run")
    journal.append({"kind": "tags", "tags": {"a": "http://me:hidden@host/x", "b": 'the can"ary sings'}})
    text = (tmp_path / "run" / LOG).read_text()
    assert "hidden" not in text
    assert "ary" not in text
    assert read_entries(tmp_path / "run")[0]["tags"] == {"a": "http://***@host/x", "b": "the *** sings"}
    assert os.environ["SOME_TOKEN"] not in text
    journal.append(points_entry([("train/loss", 0.5, 1, 1795353017)]))
    assert read_entries(tmp_path / "run")[1]["points"] == [["train/loss", 0.5, 1, 1795353017]]


def test_what_waits_in_memory_has_no_passwords_either(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        journal.append({"kind": "tags", "tags": {"a": "http://me:hidden@host"}})
        assert journal.entries(0, 1)[0]["tags"] == {"a": "http://***@host"}
        journal.acknowledge(1)
        assert journal.delivered == 0  # it is not on disk yet
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_appending_never_raises(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    journal.append({"kind": "tags", "tags": {"a": "caf\udce9", "b": Path("x")}})
    journal.append(points_entry([("a", np.float32(0.5), np.int64(3), 10)]))
    journal.append({"kind": "tags", "tags": {("no", "key"): 1}})
    journal.append(entry(1))
    assert read_entries(tmp_path / "run")[1:] == [points_entry([("a", 0.5, 3, 10)]), entry(1)]
    assert journal.lost == 1


def test_a_lock_of_before_is_seen_and_nothing_in_its_file_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.write_text("4711")
    told: list[str] = []

    def let_go(process: str) -> None:
        told.append(process)
        fcntl.flock(former, fcntl.LOCK_UN)

    with path.open("r+") as former:
        fcntl.flock(former, fcntl.LOCK_EX)
        assert is_locked(path)
        with path.open("rb") as other:
            assert not try_lock(other.fileno())
        assert path.read_text() == "4711"
        with lock_file(path, let_go):
            assert is_locked(path)
            assert path.read_text() == str(os.getpid())
    assert told == ["4711"]
    assert not is_locked(path)
    assert not is_locked(tmp_path / "missing")


def test_bytes_of_one_file_are_locked_apart_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "claims"
    first, second = try_lock_byte(path, 7), try_lock_byte(path, 2**60)
    assert first is not None
    assert second is not None
    child = os.fork()
    if child == 0:
        os._exit((try_lock_byte(path, 7) is None) + 2 * (try_lock_byte(path, 8) is not None))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    first()
    child = os.fork()
    if child == 0:
        os._exit(try_lock_byte(path, 7) is None)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.stat().st_size == 0


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail() -> None:
        with whole_file(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert path.read_text() == "old"


def test_signals_are_taken_in_the_main_thread_alone_and_given_back() -> None:
    received: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    with signals.handled(lambda number, _: received.append(number)) as taken:
        assert taken
        with signals.held_back():
            # To this very thread: one that is sent to the process may be taken by another thread of it.
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert received == []
        assert received == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before

    def elsewhere() -> None:
        with signals.handled(lambda *_: None) as taken:
            received.append(int(taken))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert received == [signal.SIGTERM, 0]
