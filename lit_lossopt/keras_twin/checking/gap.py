"""How far two trainings are apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lit_lossopt.keras_twin.checking.request import STEPS, TOLERANCE


@dataclass(frozen=True)
class Gap:
    """How far two trainings from one start are apart.

    Attributes:
        images: what they were trained on.
        loss: name in torch.
        optimizer: name in the table.
        column: what is the same in both.
        losses: difference of the losses before each step, relative to torch's loss, ``[N]``.
        weights: distance of the weights after each step, relative to the way from the start, ``[N]``.
    """

    images: str
    loss: str
    optimizer: str
    column: str
    losses: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def by_step(self) -> tuple[float, ...]:
        """The larger of both differences at each step; infinite where something is no number any more."""
        pairs = zip(self.losses, self.weights, strict=True)
        return tuple(max(both) if all(map(math.isfinite, both)) else math.inf for both in pairs)

    @property
    def largest(self) -> float:
        """The largest difference of all steps."""
        return max(self.by_step)

    @property
    def first_step(self) -> int | None:
        """The first step at which the difference is above the tolerance; None: there is none."""
        return next((step for step, apart in enumerate(self.by_step, start=1) if apart > TOLERANCE), None)

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance over the first steps. Later, rounding may have grown."""
        return self.first_step is None or self.first_step > STEPS
