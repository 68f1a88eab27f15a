"""How much of its descent a training loss climbs back.

The probe loss of a run comes in, one number goes out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of fewer pairs, one steep step would decide.
LEAST_PAIRS_OF_STEPS = 8


def climb_back(steps: Floats, losses: Floats) -> float:
    """Return how much of its descent the loss climbed back.

    It is Σ max(0, L_{n + 1} − L_n) over the measured pairs of consecutive steps, times (steps of the run / pairs), over
    the descent L_first − min L. With every step measured, it is the sum of all rises over the descent. It is 0 if no
    measured step raises the loss. NaN without a descent, with fewer than eight pairs, or if a loss is not finite.

    Noise of the batches moves weights, and so is a part of it. Compare only runs of equal batch size and equal steps.

    >>> losses = np.array([2.0, 1.5, 1.7, 1.2, 1.0, 0.9, 0.8, 0.6, 0.5, 0.4])
    >>> round(climb_back(np.arange(10.0), losses), 3)
    0.125

    Args:
        steps: at which the loss was measured, rising ``[n]``, with pairs of consecutive steps among them.
        losses: of one fixed set of images, in the loss's own unit ``[n]``. A factor or a shift changes nothing.

    Source: ours, explained in docs/measures.md.
    """
    follows = np.diff(steps) == 1
    pairs = int(follows.sum())
    if pairs < LEAST_PAIRS_OF_STEPS or not np.isfinite(losses).all():
        return math.nan
    descent = float(losses[0] - losses.min())
    if descent <= 0:
        return math.nan
    rises = float(np.maximum(np.diff(losses)[follows], 0).sum())
    return rises * float(steps[-1] - steps[0]) / pairs / descent
