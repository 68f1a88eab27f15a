"""The split that scikit-learn's ``train_test_split(stratify=…)`` makes, by numpy alone.

scikit-learn takes half a second to import, with pandas. A training has no other use for it. The draws are the same ones
in the same order, so the same seed holds out the same images as ever.

Source: scikit-learn, ``StratifiedShuffleSplit``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def split_places(labels: NDArray[np.integer], fraction: float, seed: int) -> tuple[Places, Places]:
    """Return the places ``[M]`` that stay and those held out, each sorted.

    >>> stay, held_out = split_places(np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0.5, seed=0)
    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> labels[stay], labels[held_out]
    (array([0, 0, 1, 1]), array([0, 0, 1, 1]))

    Args:
        labels: ``[N]`` integers.
        fraction: share that is held out, rounded up to whole images.
        seed: of ``numpy.random.RandomState``.

    Raises:
        ValueError: a class is too small to be in both parts.
    """
    _, counts = np.unique(labels, return_counts=True)
    held = math.ceil(fraction * len(labels))
    kept = len(labels) - held
    if not 0 < fraction < 1 or counts.min(initial=2) < 2 or min(held, kept) < len(counts):
        raise ValueError(f"{len(labels)} images of {len(counts)} classes cannot be split by {fraction}")
    random = np.random.RandomState(seed)
    kept_of_class = _shares(counts, kept, random)
    held_of_class = _shares(counts - kept_of_class, held, random)
    # Stable, so that the places of a class rise.
    of_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    drawn = [places[random.permutation(len(places))] for places in of_class]
    stay = [places[:first] for places, first in zip(drawn, kept_of_class, strict=True)]
    away = [
        places[first : first + more] for places, first, more in zip(drawn, kept_of_class, held_of_class, strict=True)
    ]
    return np.sort(np.concatenate(stay)), np.sort(np.concatenate(away))


def _shares(counts: Places, total: int, random: np.random.RandomState) -> Places:
    """Return how many of each class are drawn if ``total`` are: the likeliest numbers.

    What whole numbers leave over goes to the largest remainders. Chance decides between equal ones.
    """
    exact: NDArray[np.float64] = counts / counts.sum() * total
    shares: Places = np.floor(exact).astype(np.int64)
    remainders = exact - shares
    missing = int(total - shares.sum())
    for remainder in np.unique(remainders)[::-1]:
        if missing <= 0:
            break
        equal = np.flatnonzero(remainders == remainder)
        chosen = random.choice(equal, size=min(len(equal), missing), replace=False)
        shares[chosen] += 1
        missing -= len(chosen)
    return shares
