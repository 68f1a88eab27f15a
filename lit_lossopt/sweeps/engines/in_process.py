"""The smallest engine.

Trials run one after another in this very process. Everything is imported once.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from typing import Any, TextIO

from lit_lossopt.core.errors import one_line
from lit_lossopt.core.names import Exit
from lit_lossopt.sweeps.engines.interruption import Interrupted
from lit_lossopt.sweeps.engines.table import Wishes
from lit_lossopt.sweeps.trial import ENDED, Outcome, Progress, Trial, Watch
from lit_lossopt.tracking.store_process import kept_process


class InProcessEngine:
    """Runs each trial by calling the program's own ``main``.

    A trial that kills its process kills the sweep.

    Args:
        main: takes the words of a command and returns its exit status.
    """

    def __init__(self, main: Callable[[list[str]], int]) -> None:
        self.main = main

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome as it ends."""
        with kept_process():
            yield from self._run(trials, watch)

    def _run(self, trials: Sequence[Trial], watch: Watch) -> Iterator[Outcome]:
        for trial in trials:
            watch(Progress(0, trial))
            started, said = time.monotonic(), ""
            heard: Any = _Heard(sys.stderr)
            try:
                with redirect_stderr(heard):
                    status = self.main([*trial.words, *trial.tracking])
                said = heard.last if status not in ENDED else ""
            except SystemExit as ended:
                status = ended.code if isinstance(ended.code, int) else 1
            except Exception as error:  # noqa: BLE001  # a trial that crashes is recorded, and the rest goes on
                traceback.print_exc()
                status, said = 1, one_line(f"{type(error).__name__}: {error}")
            if status in (Exit.INTERRUPTED, Exit.TERMINATED):
                # The trial has taken the signal that was meant for the sweep.
                raise Interrupted(status - 128)
            yield Outcome(trial, status, 1, time.monotonic() - started, said)
        watch(Progress(0, None))


class _Heard:
    """Writes to a stream, and remembers the last line. A trial says there why it has failed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.last = ""

    def write(self, text: str) -> int:
        """Write, and remember."""
        self.last = next((line for line in reversed(text.splitlines()) if line.strip()), self.last)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        # All else is the stream's own affair.
        return getattr(self._stream, name)


def build(wishes: Wishes) -> InProcessEngine:
    """Return the engine that a person wishes."""
    return InProcessEngine(wishes.main)
