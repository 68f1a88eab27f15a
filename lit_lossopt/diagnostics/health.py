"""When a run has diverged or collapsed.

The rules look at its step losses and its evaluations.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST, LAST, FACTOR = 10, 50, 3.0
# A collapsed run: its accuracy in points, the entropy of its predictions as a share of log K, the fall of its loss.
NEAR, CERTAIN, FALL = 0.01, 0.1, 0.01
# How many steps lie between the windows whose medians are looked at.
STRIDE = 10


class LossTrack:
    """What the rules need to know of a run's step losses.

    Its size does not grow with the run.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: list[float] = []
        self.last: deque[float] = deque(maxlen=LAST)
        self.lowest = math.inf

    def add(self, losses: Sequence[float]) -> None:
        """Take the losses of the next steps."""
        for loss in losses:
            self.count += 1
            if self.count <= FIRST:
                self.first.append(loss)
                continue
            self.last.append(loss)
            if len(self.last) == LAST and self.count % STRIDE == 0:
                self.lowest = min(self.lowest, _median(self.last))

    def has_exploded(self) -> str:
        """Return the evidence that finite losses have diverged.

        It is empty if there is none.

        The median of the last 50 step losses lies above three times the median of the first ten; for a loss that is
        negative, as far above it.
        """
        if len(self.last) < LAST:
            return ""
        start, end = float(np.median(self.first)), float(np.median(self.last))
        if end <= start + (FACTOR - 1) * abs(start):
            return ""
        return f"median loss {end:.4g} over the last 50 steps, {start:.4g} over the first ten"

    def never_fell(self, budget: int) -> str:
        """Return the evidence that the loss never moved.

        It is empty if there is none.

        No 50 steps, looked at every ten and at the end, have a median one per cent below that of the first ten. A run
        that falls later than in the first third of its budget was slow, not collapsed; one that is not through that
        third, or has fewer than sixty steps, is not judged.

        Args:
            budget: steps that the run may take; 0: unlimited.
        """
        if budget <= 0 or self.count < budget // 3 or len(self.last) < LAST:
            return ""
        start = float(np.median(self.first))
        lowest = min(self.lowest, float(np.median(self.last)))
        return "" if lowest < start - FALL * abs(start) else f"the median loss began at {start:.4g} and never fell 1 %"

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on with."""
        return {"count": self.count, "first": self.first, "last": list(self.last), "lowest": self.lowest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.count, self.first, self.lowest = state["count"], list(state["first"]), state["lowest"]
        self.last = deque(state["last"], maxlen=LAST)


class AccuracyTrack:
    """What the rules need to know of a run's evaluations.

    It is the accuracy at the start, and the best one since.
    """

    def __init__(self) -> None:
        self.first: float | None = None
        # Since then; None: there was no second evaluation.
        self.highest: float | None = None
        self.largest_share: float | None = None

    def add(self, confusion: NDArray[np.integer]) -> None:
        """Take the next evaluation.

        The accuracy of a network that predicts one class is the share of that class, and no sign of learning.

        Args:
            confusion: counts ``[K, K]``; rows are true classes.
        """
        accuracy, largest, certain = _summary(confusion)
        self.largest_share = largest
        if self.first is None:
            self.first = accuracy
        else:
            learned = accuracy if not certain or accuracy > largest else 0.0
            self.highest = max(self.highest or 0.0, learned)

    def has_risen(self) -> bool:
        """Return whether the accuracy rose by a point.

        See ``rose``.
        """
        return rose([accuracy for accuracy in (self.first, self.highest) if accuracy is not None], self.largest_share)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on with."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        vars(self).update(state)


def never_learned(losses: LossTrack, budget: int, *, better: bool) -> str:
    """Return the evidence that a run never learned.

    It is empty if there is none.

    Mixed or smoothed labels give a loss a floor that it may begin near. So a loss that never fell condemns no run whose
    evaluations got better.

    Args:
        losses: of its steps.
        budget: steps that the run may take; 0: unlimited.
        better: whether its evaluations got better; see ``rose``.
    """
    return "" if better else losses.never_fell(budget)


def rose(accuracies: Sequence[float], largest_share: float | None = None) -> bool:
    """Return whether an accuracy rose by a point.

    It rises above its start, or later above the largest class's share.

    A single value whose class shares are not known counts as risen; none at all do not.

    Args:
        accuracies: in the order of steps, from 0 to 1 or from 0 to 100.
        largest_share: of one class among the evaluated images, from 0 to 1; None: not known.
    """
    if not len(accuracies):
        return False
    highest = max(accuracies[1:] or accuracies)
    if largest_share is None and len(accuracies) == 1:
        return True
    point = NEAR if highest <= 1 else 100 * NEAR
    return highest >= accuracies[0] + point or (largest_share is not None and highest >= largest_share + point)


def predicts_one_class(confusion: NDArray[np.integer]) -> str:
    """Return the evidence that an evaluation knows one class only.

    It is empty if there is none.

    Accuracy within one point of the largest class's share, and the entropy of the predicted classes below a tenth of
    log K.

    Args:
        confusion: counts ``[K, K]``; rows are true classes.
    """
    accuracy, largest, certain = _summary(confusion)
    if abs(accuracy - largest) > NEAR or not certain:
        return ""
    share = (confusion.sum(axis=0) / confusion.sum()).max()
    return f"{share:.0%} of the predictions are one class, accuracy {accuracy:.3f}"


def _median(values: Iterable[float]) -> float:
    """Return the median of a few values, or NaN if one of them is NaN.

    For fifty values it takes a tenth of the time of ``np.median``, to the same bit.
    """
    ordered = sorted(values)
    middle = len(ordered) // 2
    if any(map(math.isnan, ordered)):
        return math.nan
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _summary(confusion: NDArray[np.integer]) -> tuple[float, float, bool]:
    """Return accuracy and the largest class's share.

    The third value says whether nearly all predictions are of one class.
    """
    total = confusion.sum()
    predicted = confusion.sum(axis=0) / total
    entropy = float(-sum(p * np.log(p) for p in predicted if p > 0))
    largest = float(confusion.sum(axis=1).max() / total)
    return float(np.trace(confusion) / total), largest, bool(entropy < CERTAIN * np.log(len(confusion)))
