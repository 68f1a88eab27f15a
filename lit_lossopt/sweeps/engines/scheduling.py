"""What every engine does alike.

Trials run in their order on free workers, killed ones run again, and a stop is clean.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lit_lossopt.sweeps.engines.interruption import Interrupted, noted_signals
from lit_lossopt.sweeps.trial import ENDED, Outcome, Progress, Trial, Watch

# A trial is started at most so often; only one whose process was killed is started again.
ATTEMPTS = 3
# Seconds that a trial may take to save and end when it is told to.
PATIENCE = 12.0
# Seconds between two looks at what trials print.
LOOK = 0.25
# Exit statuses of a trial that somebody stopped: as good as killed.
_STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


@dataclass
class Attempt:
    """One try of a trial.

    Attributes:
        trial: which.
        count: the how manieth try, from 1; kills under earlier sweep processes count.
        worker: the number of the worker that has it.
        started: when, by the monotonic clock; at first, when it was submitted.
        begun: whether it is known to have begun: no time limit holds before.
        shown: the line that was last told to the watch.
        told: when it was told to end; None: it was not.
        too_long: whether that was because it took too long.
    """

    trial: Trial
    count: int
    worker: int
    started: float = field(default_factory=time.monotonic)
    begun: bool = False
    shown: str = ""
    told: float | None = None
    too_long: bool = False

    def words(self) -> list[str]:
        """Return the words to run.

        A trial that was killed goes on from its checkpoint, if it has one.
        """
        again = ["--resume=auto"] if self.count > 1 and self.trial.words[0] != "test" else []
        return [*self.trial.words, *self.trial.tracking, *again]


class Workers(Protocol):
    """Where attempts run.

    This is all that a new engine has to say.
    """

    def count(self) -> int:
        """Return how many attempts can run at once."""

    def start(self, attempt: Attempt) -> None:
        """Start it."""

    def ended(self, seconds: float) -> list[tuple[Attempt, int]]:
        """Return what has ended, with exit statuses.

        A killed attempt has minus the signal's number. The wait is at most so long.

        An attempt counts as ended only once nothing of it can write any more.
        """

    def line(self, attempt: Attempt) -> str:
        """Return the last line that it printed."""

    def stop(self, attempt: Attempt) -> None:
        """Tell it to save and end."""

    def kill(self, attempt: Attempt) -> None:
        """End it at once."""

    def last_words(self, attempt: Attempt, *, failed: bool) -> str:
        """Return the last line of an attempt that has ended.

        Of an attempt that failed all output is kept, and the line says where.
        """

    def close(self) -> None:
        """End whatever still runs, at once."""


class Schedule:
    """One call of an engine's ``run``.

    Args:
        workers: where attempts run.
        trials: in the order in which they begin.
        watch: told what each worker does.
        done: whether the store has a trial's finished run.
        trial_seconds: an attempt that takes longer is stopped, and has failed; None: no limit.
    """

    def __init__(
        self,
        workers: Workers,
        trials: Sequence[Trial],
        watch: Watch,
        done: Callable[[Trial], bool],
        trial_seconds: float | None = None,
    ) -> None:
        self._workers = workers
        self._watch = watch
        self._done = done
        self._trial_seconds = trial_seconds
        self._queue = deque((trial, 1 + trial.kills) for trial in trials)
        self._running: list[Attempt] = []
        self._looked = 0.0

    def outcomes(self) -> Iterator[Outcome]:
        """Yield outcomes until all trials have ended.

        A consumer that leaves lets running trials save and end.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; running trials were told to save and end, and have.
        """
        try:
            with noted_signals() as noted:
                while self._running or (self._queue and noted.number is None):
                    if noted.number is None:
                        self._start()
                    else:
                        self._stop_all()
                    for attempt, status in self._workers.ended(LOOK) if self._running else ():
                        yield from self._settle(attempt, status, stopping=noted.number is not None)
                    self._look()
                if noted.number is not None:
                    raise Interrupted(noted.number)
        except GeneratorExit:
            # Nobody takes outcomes any more, as when the time of a plan is up.
            self._save_all()
            raise
        finally:
            self._workers.close()

    def _start(self) -> None:
        """Start trials on free workers."""
        busy = {attempt.worker for attempt in self._running}
        for worker in range(self._workers.count()):
            if self._queue and worker not in busy:
                attempt = Attempt(*self._queue.popleft(), worker)
                self._workers.start(attempt)
                self._running.append(attempt)
                self._watch(Progress(worker, attempt.trial))

    def _settle(self, attempt: Attempt, status: int, *, stopping: bool) -> Iterator[Outcome]:
        """Yield the outcome of what has ended.

        What was killed is put back instead.
        """
        self._running.remove(attempt)
        self._watch(Progress(attempt.worker, None))
        killed = (status < 0 or status in _STOPPED) and not attempt.too_long
        if killed and self._done(attempt.trial):
            yield self._outcome(attempt, 0)
        elif stopping and status not in ENDED:
            return
        elif killed and attempt.count < ATTEMPTS:
            self._queue.appendleft((attempt.trial, attempt.count + 1))
        else:
            yield self._outcome(attempt, status)

    def _outcome(self, attempt: Attempt, status: int) -> Outcome:
        seconds = time.monotonic() - attempt.started
        said = self._workers.last_words(attempt, failed=status not in ENDED)
        if attempt.too_long:
            said = f"stopped after {seconds:.0f} seconds, more than a trial may take; it said: {said}"
        return Outcome(attempt.trial, status, attempt.count, seconds, said)

    def _look(self) -> None:
        """Say what trials print, and stop those that take too long."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        for attempt in self._running:
            text = self._workers.line(attempt)
            if text != attempt.shown:
                attempt.shown = text
                self._watch(Progress(attempt.worker, attempt.trial, text))
            if self._trial_seconds is not None and attempt.begun and now - attempt.started > self._trial_seconds:
                attempt.too_long = True
                self._stop(attempt)

    def _save_all(self) -> None:
        """Let running trials save and end, and wait for that."""
        while self._running:
            self._stop_all()
            for attempt, _ in self._workers.ended(LOOK):
                self._running.remove(attempt)
                self._watch(Progress(attempt.worker, None))

    def _stop_all(self) -> None:
        for attempt in self._running:
            self._stop(attempt)

    def _stop(self, attempt: Attempt) -> None:
        """Tell a trial to save and end.

        End it if it does not.
        """
        now = time.monotonic()
        if attempt.told is None:
            attempt.told = now
            self._workers.stop(attempt)
        elif now - attempt.told > PATIENCE:
            self._workers.kill(attempt)
