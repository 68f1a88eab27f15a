"""What a sweep does now, for a person at a terminal.

There is a line for each worker, what is left, and the best of each arm so far.

Where the output is no terminal nothing moves, and there is nothing but the lines that are said.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lit_lossopt.core.terminal_text import fitted, on_one_line, printable
from lit_lossopt.sweeps.trial import ENDED, Engine, Outcome, Progress, Trial, Watch

REFRESHES = 4
# Of the last trials, whose durations tell how long the next ones take.
_RECENT = 50
_EVALUATION = re.compile(r"epoch (?P<epoch>\S+)\s+step\s+(?P<step>\d+).*?(val accuracy (?P<accuracy>[\d.]+))?$")


class SweepDisplay:
    """Shows progress on the terminal while it is entered.

    Args:
        best: returns arm → best validation accuracy so far; asked after each trial.
        console: where to; by default standard output.
    """

    def __init__(self, best: Callable[[], Mapping[str, float]] = dict, console: Console | None = None) -> None:
        self.console = console or Console()
        self._best = best
        self._shown_best: Mapping[str, float] = {}
        self._live: Live | None = None
        self._workers: dict[int, tuple[Progress, float]] = {}
        self._seconds: list[float] = []
        self._total = self._ended = self._failed = 0
        self._standing = ""
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        """Begin to show."""
        if self.console.is_terminal:
            self._live = Live(
                console=self.console, get_renderable=self.picture, refresh_per_second=REFRESHES, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Leave only the lines that were said."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Print a line for good, above what moves."""
        if self._live is None:
            print(printable(text), file=self.console.file, flush=True)
        else:
            # Commands are copied, and stay whole: not every line is broken.
            self.console.print(Text(fitted(printable(text), self.console.width)), soft_wrap=True)

    def watch(self, progress: Progress) -> None:
        """Note what a worker does."""
        before = self._workers.get(progress.worker)
        begun = before[1] if before and before[0].trial == progress.trial else time.monotonic()
        self._workers[progress.worker] = progress, begun

    def stand(self, text: str) -> None:
        """Show how a race stands, until it stands otherwise."""
        self._standing = text

    def begin(self, trials: Sequence[Trial]) -> None:
        """Note that so many more trials are to run."""
        self._total += len(trials)

    def ended(self, outcome: Outcome) -> None:
        """Note how a trial ended."""
        self._ended += 1
        self._failed += outcome.status not in ENDED
        self._seconds = [*self._seconds, outcome.seconds][-_RECENT:]
        self._shown_best = self._best()

    def picture(self) -> RenderableType:
        """Return what is shown now."""
        # What a worker says may be long. It gets what is left of the line.
        rows = Table.grid(padding=(0, 2), expand=True)
        rows.add_column(justify="right", style="dim")
        rows.add_column(no_wrap=True, overflow="ellipsis", max_width=self.console.width // 2)
        rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        rows.add_column(justify="right", style="dim", no_wrap=True, min_width=5)
        now = time.monotonic()
        for worker, (progress, begun) in sorted(self._workers.items()):
            name = described(progress.trial) if progress.trial else "idle"
            since = clock(now - begun) if progress.trial else ""
            rows.add_row(
                str(worker), Text(on_one_line(name)), Text(on_one_line(said(progress.text)), overflow="ellipsis"), since
            )
        ordered = sorted(self._shown_best.items(), key=lambda item: -item[1])
        shown = "   ".join(f"{arm} {accuracy:.4f}" for arm, accuracy in ordered)
        lines = [*([f"best val accuracy so far: {shown}"] if shown else []), *([self._standing] * bool(self._standing))]
        below = [Text(on_one_line(line), overflow="ellipsis", no_wrap=True) for line in lines]
        return Group(rows, Text(self.summary(), style="bold"), *below)

    def summary(self) -> str:
        """Return the state of the sweep on one line.

        An example is ``12 of 40 done, 1 failed; about 03:20 left, 01:25 so far``.
        """
        failed = f", {self._failed} failed" if self._failed else ""
        left = self.seconds_left()
        about = "" if left is None else f"about {clock(left)} left, "
        return f"{self._ended} of {self._total} done{failed}; {about}{clock(time.monotonic() - self._started)} so far"

    def seconds_left(self) -> float | None:
        """Return how long the known trials still take.

        The pace is that of the last ones. Before the first one the result is None.
        """
        if not self._seconds or not self._workers:
            return None
        each, now = statistics.mean(self._seconds), time.monotonic()
        running = [now - begun for progress, begun in self._workers.values() if progress.trial]
        waiting = self._total - self._ended - len(running)
        return (waiting * each + sum(max(0.0, each - spent) for spent in running)) / len(self._workers)


class ShownEngine:
    """An engine whose trials are shown.

    Args:
        engine: runs them.
        display: shows them.
    """

    def __init__(self, engine: Engine, display: SweepDisplay) -> None:
        self.engine = engine
        self.display = display

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome as it ends."""
        self.display.begin(trials)

        def both(progress: Progress) -> None:
            self.display.watch(progress)
            watch(progress)

        for outcome in self.engine.run(trials, both, done):
            self.display.ended(outcome)
            yield outcome


def described(trial: Trial) -> str:
    """Return ``tuning adam lr=0.01 seed=0``."""
    point = [f"{key.rpartition('.')[2]}={value:g}" for key, value in trial.point.items()]
    return " ".join([trial.phase, trial.arm, *point, f"seed={trial.seed}"])


def said(text: str) -> str:
    """Return the gist of a trial's latest line.

    It is epoch, step and accuracy of an evaluation, or the line itself.
    """
    found = _EVALUATION.match(text)
    if not found:
        return text
    accuracy = f"  accuracy {found['accuracy']}" if found["accuracy"] else ""
    return f"epoch {found['epoch']}  step {found['step']}{accuracy}"


def clock(seconds: float) -> str:
    """Return ``01:25`` or ``2:01:25``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
