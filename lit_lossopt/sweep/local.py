"""Trials on this machine: each in a process of its own, so many at once, those that are killed tried again."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lit_lossopt import names
from lit_lossopt.errors import UserError, one_line
from lit_lossopt.sweep.fork_server import Ended, ForkServer, ServerGoneError, Started
from lit_lossopt.sweep.gpu_slots import worker_environments
from lit_lossopt.sweep.interruption import Interrupted, NotedSignals, noted_signals
from lit_lossopt.sweep.trial import Outcome, Progress, Resources, Trial, Watch

# A trial is started at most so often; only one whose process was killed is started again.
ATTEMPTS = 3
# Seconds that a trial may take to save and end when it is told to.
PATIENCE = 12.0
# Seconds between two looks at what trials print.
LOOK = 0.25
# Exit statuses of a trial that somebody stopped: as good as killed.
_STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
_TAIL_BYTES = 8192


class LocalEngine:
    """Runs trials by a fork server on this machine.

    A trial is forked from a process that has imported everything. One whose process is killed is tried again, from its
    last checkpoint if it has saved one, unless the store has its finished run. One that fails by itself is not. Trials
    die with this process.

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
        rehearsal: str = "lit_lossopt.rehearsal:rehearse",
    ) -> None:
        self.environments = worker_environments(resources)
        self.trial_seconds = trial_seconds
        self.command = command
        self.rehearsal = rehearsal

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome as it ends.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; running trials were told to save and end, and have.
            UserError: no process that forks trials can be started.
        """
        if not trials:
            return
        session = _Session(self, trials, watch, done)
        try:
            with noted_signals() as noted:
                yield from session.outcomes(noted)
        finally:
            session.close()


@dataclass
class _Attempt:
    """One try of a trial; ``number`` is the fork server's, ``told`` when it was told to end."""

    trial: Trial
    count: int
    number: int
    worker: int
    output: Path
    started: float
    shown: str = ""
    told: float | None = None
    too_long: bool = False


class _Session:
    """One call of ``LocalEngine.run``."""

    def __init__(
        self, engine: LocalEngine, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]
    ) -> None:
        self.engine = engine
        self.watch = watch
        self.done = done
        self.queue = deque((trial, 1) for trial in trials)
        self.attempts: dict[int, _Attempt] = {}
        self.free = deque(range(min(len(engine.environments), len(trials))))
        self.server: ForkServer | None = None
        self.looked = 0.0

    def outcomes(self, noted: NotedSignals) -> Iterator[Outcome]:
        """Yield outcomes until all trials have ended, or a signal has been obeyed."""
        while self.attempts or (self.queue and noted.number is None):
            if noted.number is None:
                self._start()
            elif self.server is not None and self.server.ready:
                self._tell_all()
            else:
                # Nothing has begun.
                break
            yield from self._outcomes_of(self._ended(), stopping=noted.number is not None)
            self._look()
        if noted.number is not None:
            raise Interrupted(noted.number)

    def close(self) -> None:
        """End what is left, at once."""
        if self.server is not None:
            self.server.close()

    def _start(self) -> None:
        """Start trials on free workers."""
        self.server = self.server or ForkServer(self.engine.rehearsal)
        while self.queue and self.free:
            (trial, count), worker = self.queue.popleft(), self.free.popleft()
            output = Path(names.OUTPUT_FOLDER) / f"{trial.key[:20]}.txt"
            output.parent.mkdir(parents=True, exist_ok=True)
            if count == 1:
                output.write_bytes(b"")
            # One that was killed goes on from its checkpoint, if it has one.
            again = ["--resume=auto"] if count > 1 else []
            words = [*trial.words, *trial.tracking, *again]
            number = self.server.start(
                self.engine.command, [words], Path.cwd(), output.absolute(), self.engine.environments[worker]
            )
            self.attempts[number] = _Attempt(trial, count, number, worker, output, time.monotonic())
            self.watch(Progress(worker, trial))

    def _ended(self) -> Mapping[int, int]:
        """Return number → status of attempts that have ended, killed ones of a server that has gone too."""
        assert self.server is not None
        try:
            replies = self.server.replies(LOOK)
        except ServerGoneError as error:
            if not (self.server.ready or error.killed):
                raise UserError(f"the process that starts trials cannot begin: {error}") from error
            self.server.close()
            self.server = None
            return dict.fromkeys(self.attempts, -signal.SIGKILL)
        for reply in replies:
            if isinstance(reply, Started) and reply.number in self.attempts:
                # Not before: the first ones wait while the server imports.
                self.attempts[reply.number].started = time.monotonic()
        return {reply.number: reply.status for reply in replies if isinstance(reply, Ended)}

    def _outcomes_of(self, ended: Mapping[int, int], *, stopping: bool) -> Iterator[Outcome]:
        """Yield what is settled; put back what was killed."""
        for number, status in ended.items():
            attempt = self.attempts.pop(number)
            self.free.append(attempt.worker)
            self.watch(Progress(attempt.worker, None))
            killed = (status < 0 or status in _STOPPED) and not attempt.too_long
            if killed and self.done(attempt.trial):
                yield self._outcome(attempt, 0)
            elif stopping and status not in (0, 3):
                continue
            elif killed and attempt.count < ATTEMPTS:
                self.queue.appendleft((attempt.trial, attempt.count + 1))
            else:
                yield self._outcome(attempt, status)

    def _outcome(self, attempt: _Attempt, status: int) -> Outcome:
        seconds = time.monotonic() - attempt.started
        said = last_line(attempt.output)
        if attempt.too_long:
            said = f"stopped after {seconds:.0f} seconds, more than a trial may take; it said: {said}"
        if status in (0, 3):
            with suppress(OSError):
                attempt.output.unlink()
        else:
            said = f"{said} (all that it said: {attempt.output})"
        return Outcome(attempt.trial, status, attempt.count, seconds, said)

    def _look(self) -> None:
        """Tell what trials print, and stop those that take too long."""
        now = time.monotonic()
        if now - self.looked < LOOK:
            return
        self.looked = now
        for attempt in self.attempts.values():
            text = last_line(attempt.output)
            if text != attempt.shown:
                attempt.shown = text
                self.watch(Progress(attempt.worker, attempt.trial, text))
            limit = self.engine.trial_seconds
            if limit is not None and now - attempt.started > limit:
                attempt.too_long = True
                self._tell(attempt, now)

    def _tell_all(self) -> None:
        for attempt in self.attempts.values():
            self._tell(attempt, time.monotonic())

    def _tell(self, attempt: _Attempt, now: float) -> None:
        """Tell a trial to save and end; end it if it does not."""
        assert self.server is not None
        if attempt.told is None:
            attempt.told = now
            self.server.signal(attempt.number, signal.SIGTERM)
        elif now - attempt.told > PATIENCE:
            self.server.signal(attempt.number, signal.SIGKILL)


def last_line(output: Path) -> str:
    """Return the last line of a file that is not empty, or an empty text."""
    try:
        with output.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines()]
    return next((one_line(line, 300) for line in reversed(lines) if line), "")
