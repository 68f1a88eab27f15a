"""When a run has diverged or collapsed: rules on its step losses and evaluations, as plain functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FIRST, LAST, FACTOR = 10, 50, 3.0
# A collapsed run: its accuracy in points, the entropy of its predictions as a share of log K, the fall of its loss.
NEAR, CERTAIN, FALL = 0.01, 0.1, 0.01


def has_exploded(losses: Sequence[float]) -> str:
    """Return the evidence that finite losses have diverged, or an empty text.

    The median of the last 50 step losses lies above three times the median of the first ten.
    """
    if len(losses) < FIRST + LAST:
        return ""
    start, end = float(np.median(losses[:FIRST])), float(np.median(losses[-LAST:]))
    return (
        f"median loss {end:.4g} over the last 50 steps, {start:.4g} over the first ten" if end > FACTOR * start else ""
    )


def predicts_one_class(confusion: NDArray[np.integer]) -> str:
    """Return the evidence that an evaluation knows one class only, or an empty text.

    Accuracy within one point of the largest class's share, and the entropy of the predicted classes below a tenth of
    log K.

    Args:
        confusion: counts ``[K, K]``; rows are true classes.
    """
    total = confusion.sum()
    largest = confusion.sum(axis=1).max() / total
    accuracy = np.trace(confusion) / total
    predicted = confusion.sum(axis=0) / total
    entropy = float(-sum(p * np.log(p) for p in predicted if p > 0))
    if abs(accuracy - largest) > NEAR or entropy >= CERTAIN * np.log(len(confusion)):
        return ""
    return f"{predicted.max():.0%} of the predictions are one class, accuracy {accuracy:.3f}"


def never_fell(losses: Sequence[float], budget: int) -> str:
    """Return the evidence that the loss never moved, or an empty text.

    Over the first third of the budget, no window of 50 steps (or as many as there are) has a median one per cent below
    that of the first ten steps.

    Args:
        losses: one a step, from the first on.
        budget: steps that the run may take.
    """
    third = losses[: budget // 3]
    if len(third) < budget // 3 or len(third) <= FIRST:
        return ""
    start = float(np.median(third[:FIRST]))
    size = min(LAST, len(third) - FIRST)
    windows = [third[at : at + size] for at in range(FIRST, len(third) - size + 1, max(1, size // 2))]
    lowest = min(float(np.median(window)) for window in windows)
    return "" if lowest < start - FALL * abs(start) else f"the median loss began at {start:.4g} and never fell 1 %"
