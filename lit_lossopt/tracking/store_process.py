"""The process beside a training, as the training sees it.

``store_server`` is what runs there. Nothing heavy is imported here. A new interpreter imports MLflow beside torch's
import in the training. A trial of a sweep is forked from a process that has imported it, so there it is a fork, made
while the trial has no threads but one that waits.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from lit_lossopt.core import signals
from lit_lossopt.tracking.store_server import Answer, Request, serve

_CODE = "import sys; sys.path[:] = {path}; from lit_lossopt.tracking.store_server import main; main(sys.argv[1:])"


class ProcessGoneError(Exception):
    """The process has died, or could not be started."""


class StoreProcess:
    """A process that answers calls and ends with this one.

    Args:
        fork: make it a copy of this process, which has imported MLflow and has no thread that works.

    Raises:
        ProcessGoneError: it cannot be started.
    """

    def __init__(self, *, fork: bool = False) -> None:
        self._work, work = Pipe()
        self._urgent, urgent = Pipe()
        self._locks = (threading.Lock(), threading.Lock())
        self.owner, self.dead = os.getpid(), False
        self._popen: subprocess.Popen[bytes] | None = None
        self._empty = ""
        try:
            # Until it ignores them, signals that are meant for the training wait.
            with signals.held_back():
                self.pid = self._fork(work, urgent) if fork else self._execute(work, urgent)
        except OSError as error:
            self._work.close()
            self._urgent.close()
            raise ProcessGoneError(str(error)) from error
        finally:
            work.close()
            urgent.close()

    @property
    def busy(self) -> bool:
        """Whether a call is being answered."""
        return any(lock.locked() for lock in self._locks)

    def ask(self, request: Request, *, urgent: bool = False) -> Answer:
        """Return the answer to a call.

        It waits for calls before it, unless it is urgent.

        Raises:
            ProcessGoneError: it died meanwhile.
        """
        connection = self._urgent if urgent else self._work
        with self._locks[urgent]:
            try:
                connection.send(request)
                answer: Answer = connection.recv()
            except (EOFError, OSError) as error:
                self.dead = True
                raise ProcessGoneError(str(error)) from error
            except BaseException:
                # Interrupted: the answer would be taken for that of the next call.
                self.dead = True
                raise
        return answer

    def close(self) -> None:
        """End the process at once, whatever it does.

        That does no harm, because a store takes a call whole or not at all.
        """
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        if self._popen:
            self._popen.wait()
        else:
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        for connection, lock in zip((self._work, self._urgent), self._locks, strict=True):
            # Whoever waits for an answer sees its end now.
            with lock:
                connection.close()
        if self._empty:
            # Killed meanwhile, the process has not removed it itself.
            shutil.rmtree(self._empty, ignore_errors=True)

    def _fork(self, work: Connection, urgent: Connection) -> int:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                signals.forget_wakeup()
                self._work.close()
                self._urgent.close()
                serve(work, urgent, parent)
            finally:
                os._exit(1)
        return child

    def _execute(self, work: Connection, urgent: Connection) -> int:
        numbers = (work.fileno(), urgent.fileno())
        self._empty = _unused_folder()
        self._popen = subprocess.Popen(  # noqa: S603  # this very package
            [
                sys.executable,
                "-c",
                _CODE.format(path=json.dumps(sys.path)),
                *map(str, numbers),
                str(os.getpid()),
                self._empty,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=numbers,
        )
        return self._popen.pid


def _unused_folder() -> str:
    """Return a name for a folder of temporary files, which the process makes if it needs it.

    It is empty where there is no place for any.
    """
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError:
        return ""
    return str(Path(place, f"lossopt-{os.getpid()}-{secrets.token_hex(8)}"))


class _Keeper:
    """The one process of this program, and how many want it."""

    def __init__(self) -> None:
        self._may_fork = False
        self.holders = 0
        self._process: StoreProcess | None = None
        self._lock = threading.Lock()

    def process(self) -> StoreProcess:
        """Return the living process, or start one."""
        with self._lock:
            if self._process is not None and self._process.dead:
                self._process.close()
                self._process = None
            if self._process is None or self._process.owner != os.getpid():
                # Later, this process has threads.
                fork, self._may_fork = self._may_fork, False
                self._process = StoreProcess(fork=fork)
            return self._process

    def allow_fork(self) -> None:
        """Say that this process may be forked, if it has imported MLflow already."""
        self._may_fork = "mlflow" in sys.modules

    def end(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            # A fork of this program does not end its parent's.
            if self._process and self._process.owner == os.getpid():
                self._process.close()
                self._process = None


_keeper = _Keeper()
atexit.register(_keeper.end)


def allow_fork() -> None:
    """Say that this process may be forked for the store.

    It may if it has imported MLflow already and started no threads yet.
    """
    _keeper.allow_fork()


@contextmanager
def kept_process(*, ahead: bool = False) -> Iterator[None]:
    """Keep one process for all stores within a block.

    It ends after the outermost such block.

    Args:
        ahead: start it now, so that what it imports is imported when it is needed.
    """
    _keeper.holders += 1
    try:
        if ahead:
            with suppress(ProcessGoneError):
                _keeper.process()
        yield
    finally:
        _keeper.holders -= 1
        if not _keeper.holders:
            _keeper.end()


def running_process() -> StoreProcess:
    """Return the living process, or start one.

    Raises:
        ProcessGoneError: it cannot be started.
    """
    return _keeper.process()


def let_go(process: Any) -> None:
    """End the process if nobody keeps it or it is stuck."""
    if not _keeper.holders or (process is not None and process.busy):
        _keeper.end()
