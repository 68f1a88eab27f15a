"""Trials on this machine.

Each is forked from a process that has imported everything.
"""

from __future__ import annotations

import signal
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.sweeps.engines.fork_server import ForkServer, ServerGoneError, Started
from lit_lossopt.sweeps.engines.gpu_slots import worker_environments
from lit_lossopt.sweeps.engines.scheduling import Attempt, Schedule
from lit_lossopt.sweeps.engines.table import Wishes
from lit_lossopt.sweeps.trial import Outcome, Resources, Trial, Watch

_TAIL_BYTES = 8192


class LocalEngine:
    """Runs trials by a fork server on this machine.

    One whose process is killed is tried again, from its last checkpoint if it has saved one, unless the store has its
    finished run. One that fails by itself is not. Trials die with this process, however it dies.

    The server is kept from one call of ``run`` to the next, and ends with this object.

    Args:
        resources: how many at once, and what each may use.
        trial_seconds: a trial that takes longer is stopped, and has failed; None: no limit.
        command: ``module:function`` that takes a trial's words and returns its exit status.
        rehearsal: ``module:function`` that prepares the server.
    """

    def __init__(
        self,
        resources: Resources,
        trial_seconds: float | None = None,
        command: str = "lit_lossopt.__main__:main",
        rehearsal: str = "lit_lossopt.sweeps.engines.rehearsal:rehearse",
    ) -> None:
        self.trial_seconds = trial_seconds
        self._workers = ForkedWorkers(command, rehearsal, worker_environments(resources))
        weakref.finalize(self, self._workers.end)

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome as it ends.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; running trials were told to save and end, and have.
            UserError: no process that forks trials can be started.
        """
        return Schedule(self._workers, trials, watch, done, self.trial_seconds).outcomes()


class ForkedWorkers:
    """Attempts as children of a fork server.

    The server is started anew if it is killed.

    Args:
        command: takes words, returns an exit status.
        rehearsal: prepares the server.
        environments: variables of each worker.
    """

    def __init__(self, command: str, rehearsal: str, environments: Sequence[Mapping[str, str]]) -> None:
        self._command = command
        self._rehearsal = rehearsal
        self._environments = environments
        self._server: ForkServer | None = None
        self._attempts: dict[int, Attempt] = {}

    def count(self) -> int:
        """Return how many attempts can run at once."""
        return len(self._environments)

    def start(self, attempt: Attempt) -> None:
        """Start it, its output going to a file."""
        if self._server is not None and not self._attempts and self._server.gone:
            # While it had nothing to do: no trial was killed with it.
            self.end()
        self._server = self._server or ForkServer(self._rehearsal)
        output = output_of(attempt.trial)
        output.parent.mkdir(parents=True, exist_ok=True)
        if attempt.count == 1:
            output.write_bytes(b"")
        environment = self._environments[attempt.worker]
        number = self._server.start(self._command, [attempt.words()], Path.cwd(), output.absolute(), environment)
        self._attempts[number] = attempt

    def ended(self, seconds: float) -> list[tuple[Attempt, int]]:
        """Return what has ended.

        When the server has died, everything has.

        Raises:
            UserError: the server cannot begin.
        """
        if self._server is None:
            return self._all_killed()
        try:
            replies = self._server.replies(seconds)
        except ServerGoneError as error:
            if not (self._server.ready or error.killed):
                raise UserError(f"the process that starts trials cannot begin: {error}") from error
            self.end()
            return self._all_killed()
        found = []
        for reply in replies:
            if isinstance(reply, Started):
                # Not before: the first ones wait while the server imports.
                attempt = self._attempts[reply.number]
                attempt.started, attempt.begun = time.monotonic(), True
            else:
                found.append((self._attempts.pop(reply.number), reply.status))
        return found

    def line(self, attempt: Attempt) -> str:
        """Return the last line that it printed."""
        return last_line(output_of(attempt.trial))

    def last_words(self, attempt: Attempt, *, failed: bool) -> str:
        """Return the last line of an attempt that has ended.

        Of an attempt that failed all output is kept, and the line says where.
        """
        output = output_of(attempt.trial)
        said = last_line(output)
        if failed:
            return f"{said} (all that it said: {output})"
        with suppress(OSError):
            output.unlink()
        return said

    def stop(self, attempt: Attempt) -> None:
        """Tell it to save and end."""
        if self._server is not None and not self._server.ready:
            # Nothing has begun.
            self.end()
        self._signal(attempt, signal.SIGTERM)

    def kill(self, attempt: Attempt) -> None:
        """End it at once."""
        self._signal(attempt, signal.SIGKILL)

    def close(self) -> None:
        """End what still runs, at once.

        A server that has nothing to do is kept for the next trials.
        """
        if self._attempts or (self._server is not None and not self._server.ready):
            self.end()
            self._attempts.clear()

    def end(self) -> None:
        """End server and attempts, at once."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _signal(self, attempt: Attempt, which: int) -> None:
        for number, one in self._attempts.items():
            if one is attempt and self._server is not None:
                self._server.signal(number, which)

    def _all_killed(self) -> list[tuple[Attempt, int]]:
        killed = [(attempt, -signal.SIGKILL) for attempt in self._attempts.values()]
        self._attempts.clear()
        return killed


def output_of(trial: Trial) -> Path:
    """Return the file that takes what a trial prints."""
    return Path(names.OUTPUT_FOLDER) / f"{trial.key[:20]}.txt"


def last_line(output: Path) -> str:
    """Return the last line of a file that is not empty.

    The result is an empty text if there is none.
    """
    try:
        with output.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines()]
    return next((one_line(line, 300) for line in reversed(lines) if line), "")


def build(wishes: Wishes) -> LocalEngine:
    """Return the engine that a person wishes."""
    return LocalEngine(wishes.resources, wishes.seconds)
