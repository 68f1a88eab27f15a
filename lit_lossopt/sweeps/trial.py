"""Trials, engines and outcomes.

A trial is a command line. An engine runs trials. An outcome is what came of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lit_lossopt.core.names import Exit


@dataclass(frozen=True)
class Trial:
    """One training of a sweep.

    Attributes:
        key: what tells whether it was done already: a hash of its merged settings.
        words: the command line that a person could type, ``fit`` first, or ``twin``.
        arm: the names of its levels, as ``adam focal``.
        phase: ``tuning``, ``repeat``, or ``grid``.
        seed: of weights, split, order and dropout.
        point: the searched values, as ``model.optimizer.lr`` → 0.01.
        tracking: further words, which say only where the run is kept and how it is tagged.
        kills: how often its process was killed under earlier sweep processes.
        trunk: the trial from which this one begins. None: it begins from scratch.
        start_step: behind which step of the trunk it begins. None: with the weights of the trunk's end.
    """

    key: str
    words: tuple[str, ...]
    arm: str
    phase: str
    seed: int
    point: Mapping[str, float]
    tracking: tuple[str, ...] = ()
    kills: int = 0
    trunk: Trial | None = None
    start_step: int | None = None

    @property
    def depth(self) -> int:
        """How many trials are to run before this one."""
        return 0 if self.trunk is None else 1 + self.trunk.depth


def with_trunks(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return trials and those from which they begin, the latter first."""
    found: dict[str, Trial] = {trial.key: trial for trial in trials}
    waiting = list(found.values())
    while waiting:
        trunk = waiting.pop().trunk
        if trunk is not None and trunk.key not in found:
            found[trunk.key] = trunk
            waiting.append(trunk)
    return tuple(sorted(found.values(), key=lambda trial: trial.depth))


# Exit statuses of a trial that came to its end, and what is said of it. Any other one has failed.
ENDED: dict[int, str] = {
    Exit.DONE: "",
    Exit.DIVERGED: "diverged, ",
    Exit.INCOMPLETE: "some of its record was lost, ",
}


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        trial: which.
        status: its exit status: one of ``ENDED``, or another number where it failed; −9 and such: killed by that
            signal.
        attempts: which try this was, from 1; kills under earlier sweep processes count.
        seconds: from its start to its end.
        said: its last line of output.
    """

    trial: Trial
    status: int
    attempts: int
    seconds: float
    said: str = ""


@dataclass(frozen=True)
class Progress:
    """What a worker does now.

    Attributes:
        worker: its number, from 0.
        trial: None where it is idle.
        text: the trial's latest line of output.
    """

    worker: int
    trial: Trial | None
    text: str = ""


Watch = Callable[[Progress], None]


class Engine(Protocol):
    """Runs trials on some machines.

    A new engine is one class with this one method.
    """

    def run(self, trials: Sequence[Trial], watch: Watch, done: Callable[[Trial], bool]) -> Iterator[Outcome]:
        """Yield each trial's outcome as it ends.

        Args:
            trials: to run, in this order as far as possible.
            watch: told what each worker does.
            done: whether the store has a trial's finished run; asked before a trial whose process died is tried again.
        """


@dataclass(frozen=True)
class Resources:
    """What an engine may use.

    Attributes:
        workers: trials at once; 0: as many as there are cores.
        threads: CPU threads of each.
        gpus: share of a GPU that each trial takes; 0: none.
    """

    workers: int = 0
    threads: int = 1
    gpus: float = field(default=0.0)
