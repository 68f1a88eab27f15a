"""Blocks of steps of several arms, interleaved and repeated.

A machine that others use is faster in one second and slower in the next. Therefore every repetition has a block of each
arm, in an order that rotates, and arms are compared within a repetition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# An arm that takes twice the time of the first one is not measured again.
HOPELESS = 0.5


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
        arms: names. The first is what the others are compared with. Others that are hopeless are left out after the
            repetition that showed it.
        measure: measures one block of an arm.
        until: when the time is up, by the clock.
        clock: returns seconds.
    """
    left, count, last = list(arms), 0, 0.0
    while clock() + last < until:
        begun, shift = clock(), count % len(left)
        found = {name: measure(name) for name in left[shift:] + left[:shift]}
        yield found
        count += 1
        slowest = HOPELESS * found[left[0]].rate
        left = left[:1] + [name for name in left[1:] if found[name].rate > slowest]
        last = clock() - begun
