"""Which of several differences makes a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Run = Callable[[frozenset[str]], Floats]


@dataclass(frozen=True)
class Share:
    """What one difference does to a gap.

    Attributes:
        name: of the difference.
        explains: the share of the gap that is gone when this difference alone is switched. It is negative where the
            gap grows.
        alone: the gap that this difference makes by itself, as a share of the whole gap.
    """

    name: str
    explains: float
    alone: float


@dataclass(frozen=True)
class Attribution:
    """A gap and what makes it.

    Attributes:
        gap: mean distance of the losses over all steps.
        remainder: the gap when everything known is switched, as a share of the whole.
        shares: one for each difference, the one that makes most by itself first.
        reseeded: the gap that another seed of the same initial weights makes, as a share of the whole; None: it was not
            asked for.
    """

    gap: float
    remainder: float
    shares: tuple[Share, ...]
    reseeded: float | None = None


def gap_of(one: Floats, two: Floats) -> float:
    """Return the mean distance of two curves of losses, infinite where one is no number any more.

    >>> gap_of(np.array([1.0, 2.0]), np.array([1.0, 2.5]))
    0.25
    """
    distance = np.abs(one - two)
    return float(distance.mean()) if np.isfinite(distance).all() else float("inf")


def attribute(run: Run, target: Floats, differing: Iterable[str], candidates: Sequence[str]) -> Attribution:
    """Return what makes the gap between a side and a target.

    One difference after the other is switched, from what the side does to the other thing. The shares need not sum to
    one: two differences can undo each other, and one can do little while another does much.

    Args:
        run: returns the losses of the side for the names in which it does as Keras.
        target: losses of the other side.
        differing: names in which the side does as Keras.
        candidates: names that are switched.
    """
    here = frozenset(differing)
    whole = gap_of(run(here), target)
    matched = run(frozenset())
    shares = []
    for name in candidates:
        left = gap_of(run(here ^ {name}), target)
        alone = gap_of(run(frozenset({name})), matched)
        shares.append(Share(name, _part(whole - left, whole), _part(alone, whole)))
    shares.sort(key=lambda share: (-max(share.alone, share.explains), share.name))
    return Attribution(whole, _part(gap_of(matched, target), whole), tuple(shares))


def _part(value: float, whole: float) -> float:
    return value / whole if whole else 0.0 if value == 0 else float("inf")
