"""How much of its descent a training loss climbs back.

It is measured on the probe loss of a run.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_PAIRS_OF_STEPS = 8


def climb_back(steps: Floats, losses: Floats) -> float:
    """Return the part of the descent that was climbed back.

    It is 0 where no measured step raises the loss.

    Σ max(0, L_{n + 1} − L_n) over the measured pairs of consecutive steps, times (steps of the run / pairs), over the
    descent L_first − min L. With every step measured it is the sum of all rises over the descent. NaN without a
    descent, with fewer than eight pairs, and where a loss is not finite.

    Noise of the batches moves weights, and so is part of it: compare only runs of equal batch size and equal steps.

    Args:
        steps: at which the loss was measured, rising ``[n]``; pairs of consecutive steps among them.
        losses: of one fixed set of images, in the loss's own unit ``[n]``; a factor or a shift changes nothing.

    Source: ours; docs/measures.md says why.
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
