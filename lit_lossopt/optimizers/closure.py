"""The closure that torch hands to an optimizer's step."""

from __future__ import annotations

from collections.abc import Callable

import torch


def evaluated(closure: Callable[[], float] | None) -> float | None:
    """Return the loss of a closure, computed with gradients.

    Without a closure it is None.

    >>> evaluated(lambda: 0.5)
    0.5
    """
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
