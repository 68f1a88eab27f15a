"""Runs commands of the program each in a process of its own, to be killed, in a second instead of ten."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.killing.waiting import LONGEST
from lit_lossopt.sweeps.engines.fork_server import Ended, ForkServer, Started


class Zygote:
    """The fork server of sweeps, asked and answered one by one.

    The commands run as in a process of their own: working folder, environment, standard streams and signals are theirs.

    Args:
        rehearsal: ``module:function`` that the server calls first.
    """

    def __init__(self, rehearsal: str = "lit_lossopt.sweeps.engines.rehearsal:rehearse") -> None:
        self._server = ForkServer(rehearsal)
        self._processes: dict[int, int] = {}
        self._statuses: dict[int, int] = {}

    def start(self, words: Sequence[str], folder: Path, output: Path, environment: Mapping[str, str]) -> int:
        """Return the process id of ``lossopt WORDS`` run in ``folder``, its output going to a file."""
        return self.call("lit_lossopt.__main__:main", [list(words)], folder, output, environment)

    def call(
        self,
        function: str,
        arguments: Sequence[Any],
        folder: Path,
        output: Path,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Return the process id of ``module:function`` called in ``folder``; it returns an exit status."""
        given = {"MLFLOW_DISABLE_TELEMETRY": "true", **(environment or {})}
        number = self._server.start(function, arguments, folder, output, given)
        while number not in self._processes:
            self._listen()
        return self._processes[number]

    def wait(self, process: int) -> int:
        """Return the exit status; minus the signal's number for a process that was killed."""
        while process not in self._statuses:
            self._listen()
        return self._statuses.pop(process)

    def close(self) -> None:
        """End the server, and what it has started."""
        self._server.close()

    def _listen(self) -> None:
        for reply in self._server.replies(60):
            match reply:
                case Started(number, process):
                    self._processes[number] = process
                case Ended(number, status):
                    self._statuses[self._processes[number]] = status


def alive(process: int) -> bool:
    """Return whether a process runs, and is not merely unburied.

    Its first thread may have ended before another, and until the last one has, its files and locks are held.
    """
    states = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                states.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return any(state not in "ZX" for state in states)


def wait_until_dead(processes: Sequence[int], seconds: float = LONGEST) -> list[int]:
    """Wait until no process lives, at most so long; return those that still do."""
    until = time.monotonic() + seconds
    while (living := [process for process in processes if alive(process)]) and time.monotonic() < until:
        time.sleep(0.01)
    return living
