"""Which setting is faster than another, beyond doubt.

These are pure functions of what was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lit_lossopt.training.speed.blocks import Block, Repetition

# A smaller gain is not worth a longer command line.
LEAST_GAIN = 1.03
# Fewer repetitions have no range.
FEWEST = 3
RULE = (
    f"A setting is recommended if it was faster in each of at least {FEWEST} repetitions, and by at least "
    f"{round(100 * (LEAST_GAIN - 1))} % in the median."
)


@dataclass(frozen=True)
class Speed:
    """How fast an arm is.

    Attributes:
        rate: steps a second, the median over repetitions.
        processor: processor seconds a step, the median over repetitions.
        ratio: median of its steps a second over those of the settings as given, within each repetition.
        low: the lowest of these ratios.
        high: the highest.
        repetitions: their number.
    """

    rate: float
    processor: float
    ratio: float
    low: float
    high: float
    repetitions: int

    @property
    def is_faster(self) -> bool:
        """Whether the arm is faster than the settings as given, by the rule."""
        return self.repetitions >= FEWEST and self.low > 1 and self.ratio >= LEAST_GAIN


def speed(blocks: Sequence[Block], others: Sequence[Block]) -> Speed:
    """Return how fast an arm is beside another one.

    >>> block = Block(steps=10, wall=1.0, processor=2.0)
    >>> speed([block], [Block(steps=10, wall=2.0, processor=2.0)]).ratio
    2.0

    Args:
        blocks: of the arm, one a repetition.
        others: of the other one, in the same repetitions.
    """
    ratios = [block.rate / other.rate for block, other in zip(blocks, others, strict=True)]
    return Speed(
        rate=statistics.median(block.rate for block in blocks),
        processor=statistics.median(block.processor / block.steps for block in blocks),
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        repetitions=len(ratios),
    )


def speeds(repetitions: Sequence[Repetition], given: str) -> dict[str, Speed]:
    """Return how fast each arm is beside the settings as given."""
    names = dict.fromkeys(name for repetition in repetitions for name in repetition)
    found = {}
    for name in names:
        together = [repetition for repetition in repetitions if name in repetition]
        found[name] = speed([one[name] for one in together], [one[given] for one in together])
    return found


def fastest(found: Mapping[str, Speed]) -> str | None:
    """Return the name of the fastest arm that is faster by the rule, or None."""
    faster = [name for name, one in found.items() if one.is_faster]
    return max(faster, key=lambda name: found[name].ratio) if faster else None
