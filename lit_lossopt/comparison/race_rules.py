"""What is fixed before a race begins.

Nothing heavy is imported, because plans are checked by these rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from lit_lossopt.comparison.statistics.look_sizes import looks_up_to

FINAL, SPEED = "final", "steps_to_target"
# With which the cost of a race is compared: the default of plans with a fixed number of seeds.
USUAL_SEEDS = 8


@dataclass(frozen=True)
class Rules:
    """What was fixed before a race began.

    Attributes:
        question: what decides, ``final`` or ``steps_to_target``.
        margin: differences within it are equivalent. It is a difference of the final value, or a ratio of steps (1.1).
        seeds: in the order in which they are taken, as many as there may be.
        arms: with which the race begins.
        target: the value that counts as reached. None: chosen from the runs of the first look.
        counted: arms for which the error is controlled, if that is more. Arms that were taken out of a plan after
            looking count, because they might have stayed.
    """

    question: str
    margin: float
    seeds: tuple[str, ...]
    arms: int
    target: float | None = None
    counted: int = 0

    @property
    def most_arms(self) -> int:
        """The number of arms for which the error is controlled."""
        return max(self.arms, self.counted)

    @property
    def looks(self) -> tuple[int, ...]:
        """The numbers of seeds at which one looks."""
        return looks_up_to(len(self.seeds))
