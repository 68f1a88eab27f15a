"""Blocks of steps of several arms, interleaved and repeated.

A machine that others use is faster in one second and slower in the next. Therefore every repetition has a block of each
arm, in an order that rotates, and arms are compared within a repetition.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# An arm whose speed beside the first one is below this, in the median of so many repetitions, is not measured again.
HOPELESS, ENOUGH = 0.5, 3


@dataclass(frozen=True)
class Block:
    """Steps that were made one after the other.

    Attributes:
        steps: their number.
        wall: seconds that they took.
        processor: seconds of processor time that they took, those of all threads together.
    """

    steps: int
    wall: float
    processor: float

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.steps / self.wall


Repetition = dict[str, Block]
Measure = Callable[[str], Block]


def repeated(
    arms: Sequence[str], measure: Measure, until: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[Repetition]:
    """Yield repetitions until the time is up.

    A repetition is not begun if it would not end in time.

    Args:
        arms: names. The first is what the others are compared with. Others are left out once they are hopeless.
        measure: measures one block of an arm.
        until: when the time is up, by the clock.
        clock: returns seconds.
    """
    left, count, last = list(arms), 0, 0.0
    ratios: dict[str, list[float]] = {name: [] for name in arms}
    while clock() + last < until:
        begun, shift = clock(), count % len(left)
        found = {name: measure(name) for name in left[shift:] + left[:shift]}
        yield found
        for name in left:
            ratios[name].append(found[name].rate / found[arms[0]].rate)
        left = [name for name in left if len(ratios[name]) < ENOUGH or statistics.median(ratios[name]) > HOPELESS]
        count += 1
        last = clock() - begun
