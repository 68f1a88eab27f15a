"""Several trainings at once in processes of their own, beside one training with as many threads."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe

from lit_lossopt.config.words import without_flags
from lit_lossopt.training.speed.blocks import Block, Repetition, repeated
from lit_lossopt.training.speed.candidates import Candidate
from lit_lossopt.training.speed.measure import REPETITIONS
from lit_lossopt.training.speed.ratios import Speed, speeds
from lit_lossopt.training.speed.steps import TrainingSteps

# Each takes about a GB of memory.
MOST = 8
ONE, SEVERAL = "one training", "several trainings"
_CODE = "import sys; sys.path[:] = {path}; from lit_lossopt.training.speed.worker import main; main(sys.argv[1:])"
# Seconds until all begin, so that the last one has heard of it and nothing else computes any more.
_LEAD = 0.05


class CannotError(Exception):
    """A process could not be started, or has died. The message says why."""


@dataclass(frozen=True)
class Together:
    """Trainings of one thread at once, beside one training of as many threads.

    Attributes:
        count: number of processes, and of threads.
        repetitions: blocks under ``ONE`` and ``SEVERAL``.
    """

    count: int
    repetitions: tuple[Repetition, ...]

    @property
    def found(self) -> Speed:
        """How fast all processes together are, beside the one training."""
        return speeds(self.repetitions, ONE)[SEVERAL]


def measured_together(words: Sequence[str], training: TrainingSteps, count: int, seconds: float) -> Together:
    """Return blocks of one training of ``count`` threads, and of ``count`` trainings of one thread.

    Args:
        words: of the settings, as typed.
        training: makes the steps of the one training.
        count: number of processes.
        seconds: to measure in, once all processes are there.

    Raises:
        CannotError: a process could not be started, or has died.
    """
    alone = Candidate(threads=count)
    each = seconds / (2 * REPETITIONS)
    with _workers(words, count) as workers:

        def measure(name: str) -> Block:
            return _block(workers, each) if name == SEVERAL else training.block_of(alone, each, lambda: None)

        # Once in vain, which warms them up.
        measure(SEVERAL)
        return Together(count, tuple(repeated([ONE, SEVERAL], measure, time.monotonic() + seconds)))


@contextmanager
def _workers(words: Sequence[str], count: int) -> Iterator[list[Connection]]:
    """Yield a pipe to each of ``count`` processes that have built the training. They end with the block.

    Raises:
        CannotError: one could not, or a process died within the block.
    """
    own = [*without_flags(words, ["threads"]), "--threads=1"]
    with ExitStack() as started:
        try:
            pipes = [started.enter_context(_worker(own)) for _ in range(count)]
            why = next((said for said in [pipe.recv() for pipe in pipes] if said), "")
            if why:
                raise CannotError(why)
            yield pipes
        except (EOFError, OSError) as error:
            raise CannotError(f"a process could not be started, or has died {error}".rstrip()) from error


@contextmanager
def _worker(words: Sequence[str]) -> Iterator[Connection]:
    pipe, theirs = Pipe()
    code = _CODE.format(path=json.dumps(sys.path))
    with pipe:
        with theirs:
            process = subprocess.Popen(  # noqa: S603  # this very package
                [sys.executable, "-c", code, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        try:
            pipe.send(list(words))
            yield pipe
        finally:
            process.kill()
            process.wait()


def _block(workers: Sequence[Connection], seconds: float) -> Block:
    """Return a block of all processes, which begin at the same moment."""
    for worker in workers:
        worker.send(seconds)
    for worker in workers:
        # It has made its first step, which is not measured.
        worker.recv()
    moment = time.monotonic() + _LEAD
    for worker in workers:
        worker.send(moment)
    return joined([worker.recv() for worker in workers])


def joined(blocks: Sequence[Block]) -> Block:
    """Return blocks that were made at the same time as one block.

    Its steps a second are the sum of theirs.

    >>> joined([Block(10, 1.0, 1.0), Block(30, 1.5, 2.0)]).rate
    30.0
    """
    steps = sum(block.steps for block in blocks)
    return Block(steps, steps / sum(block.rate for block in blocks), sum(block.processor for block in blocks))
