"""Children of the fork server: processes of their own, that die with it and with whoever asked for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.killing.waiting import LONGEST, wait_until
from benchmarks.killing.zygote import alive, wait_until_dead
from lit_lossopt.sweeps.engines.fork_server import Ended, ForkServer, ServerGoneError, Started
from tests.support.forked import THIS
from tests.support.places import ROOT


@pytest.fixture
def server() -> Iterator[ForkServer]:
    one = ForkServer()
    yield one
    one.close()


class Child:
    """A child, and what is known of it."""

    def __init__(self, server: ForkServer, folder: Path, call: str, *arguments: object, **environment: str) -> None:
        self.server = server
        self.output = folder / f"{call}.txt"
        self.number = server.start(f"{THIS}:{call}", arguments, folder, self.output, environment)
        self.process = next(reply.process for reply in self._until(Started) if isinstance(reply, Started))

    def wait(self) -> int:
        return next(reply.status for reply in self._until(Ended) if isinstance(reply, Ended))

    def wait_for(self, text: str) -> str:
        wait_until(lambda: self.output.is_file() and text in self.output.read_text(), lambda: f"no {text!r}")
        return self.output.read_text()

    def _until(self, kind: type[Started | Ended]) -> Iterator[Started | Ended]:
        until = time.monotonic() + LONGEST
        while time.monotonic() < until:
            yield from (r for r in self.server.replies(1) if isinstance(r, kind) and r.number == self.number)


def listen(server: ForkServer) -> None:
    while True:
        server.replies(0.1)


def test_a_child_has_folder_environment_streams_and_group_of_its_own(server: ForkServer, tmp_path: Path) -> None:
    child = Child(server, tmp_path, "look", "COLOUR", COLOUR="blue")
    assert child.wait() == 7
    line, error = child.output.read_text().splitlines()
    assert json.loads(line) == {"folder": str(tmp_path), "variable": "blue", "group": True, "input": ""}
    assert error == "and an error"


@pytest.mark.parametrize("given", [None, "3"])
def test_a_child_has_the_threads_that_a_person_has(
    given: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    one = ForkServer()
    child = Child(one, tmp_path, "look", "OPENBLAS_NUM_THREADS")
    assert child.wait() == 7
    one.close()
    assert json.loads(child.output.read_text().splitlines()[0])["variable"] == given


@pytest.mark.parametrize(
    ("call", "arguments", "status", "said"), [("crash", [], 1, "RuntimeError: on purpose"), ("leave", [2], 2, "")]
)
def test_a_child_ends_with_the_status_of_a_program(
    call: str, arguments: list[int], status: int, said: str, server: ForkServer, tmp_path: Path
) -> None:
    child = Child(server, tmp_path, call, *arguments)
    assert child.wait() == status
    assert child.output.read_text().strip().endswith(said)


def test_a_killed_child_is_told_of_and_harms_no_other(server: ForkServer, tmp_path: Path) -> None:
    first, second = (Child(server, tmp_path, "sleep") for _ in range(2))
    os.kill(first.process, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert not wait_until_dead([first.process])
    assert wait_until_dead([second.process], 0.3) == [second.process]


def test_a_signal_reaches_one_child_and_a_deaf_one_can_be_killed(server: ForkServer, tmp_path: Path) -> None:
    child = Child(server, tmp_path, "ignore_sigterm")
    child.wait_for("deaf")
    server.signal(child.number, signal.SIGTERM)
    assert wait_until_dead([child.process], 0.3) == [child.process]
    server.signal(child.number, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


def test_what_a_child_has_started_goes_with_it(server: ForkServer, tmp_path: Path) -> None:
    child = Child(server, tmp_path, "with_offspring")
    offspring = int(child.wait_for("\n"))
    os.kill(child.process, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not wait_until_dead([offspring])


def test_every_end_of_many_children_is_told_once(server: ForkServer, tmp_path: Path) -> None:
    numbers = [server.start(f"{THIS}:leave", [i % 5], tmp_path, tmp_path / "many.txt", {}) for i in range(40)]
    ended: list[Ended] = []
    until = time.monotonic() + LONGEST
    while len(ended) < 40 and time.monotonic() < until:
        ended += [reply for reply in server.replies(1) if isinstance(reply, Ended)]
    ended += [reply for reply in server.replies(0.3) if isinstance(reply, Ended)]
    assert sorted((end.number, end.status) for end in ended) == [(number, i % 5) for i, number in enumerate(numbers)]


@pytest.mark.parametrize("call", ["sleep", "sleep_alone"])
def test_children_die_with_a_server_that_is_killed(call: str, server: ForkServer, tmp_path: Path) -> None:
    children = [Child(server, tmp_path, call) for _ in range(3)]
    if call == "sleep_alone":
        children[-1].wait_for("waits\nwaits\nwaits")
    os.kill(server.process, signal.SIGKILL)
    with pytest.raises(ServerGoneError, match="killed by signal 9"):
        listen(server)
    # The server counts as gone once all have closed their files, which is the last thing that they do.
    assert not wait_until_dead([child.process for child in children])


def test_server_and_children_die_with_the_process_that_asked(tmp_path: Path) -> None:
    asking = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forked", str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert asking.stdout is not None
    processes = json.loads(asking.stdout.readline())
    asking.stdout.close()
    assert wait_until_dead(processes, 0.2) == processes
    asking.kill()
    asking.wait()
    assert not wait_until_dead(processes)


def test_a_closed_server_leaves_no_child(tmp_path: Path) -> None:
    server = ForkServer()
    child = Child(server, tmp_path, "sleep")
    server.close()
    assert not wait_until_dead([server.process, child.process], 0)


def test_a_server_that_cannot_begin_says_why() -> None:
    server = ForkServer("nowhere:nothing")
    with pytest.raises(ServerGoneError, match=r"exit status 1: ModuleNotFoundError: No module named 'nowhere'"):
        listen(server)
    server.close()


FIRST_THREAD_ENDS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(3600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_is_dead_when_its_last_thread_is() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", FIRST_THREAD_ENDS]) as process:
        stat = Path(f"/proc/{process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
        assert alive(process.pid)
        process.kill()
    assert not alive(process.pid)
