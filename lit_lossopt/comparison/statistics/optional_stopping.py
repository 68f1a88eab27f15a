"""How often equal arms give a claim if seeds are added until one appears.

Each look at a growing set of seeds is one more chance for a false claim.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lit_lossopt.comparison.statistics.family import MOST_SIMULATED, Floats
from lit_lossopt.comparison.statistics.judge import LARGEST_CRITICAL_VALUE, LEVEL

# Final value, speed and oscillation.
QUESTIONS = 3
_MOST_DRAWS, _LEAST_DRAWS = 100_000, 4_000
# Values in a table of draws × pairs × seeds.
_TABLE = 6_000_000


@lru_cache(maxsize=32)
def claims_after(arms: int, looks: tuple[int, ...], questions: int = QUESTIONS) -> float:
    """Return the share of equal arms that give any claim at one look or another.

    At each look a page decides as ``family`` does for that number of seeds. The arms have equal, independent normal
    noise, and every arm has every seed. Questions are taken for independent. The draws are fixed. Above thirty arms
    there is no difference to speak of, and thirty are taken.

    >>> round(claims_after(arms=2, looks=(8,)), 2), round(claims_after(arms=2, looks=(5, 8)), 2)
    (0.05, 0.09)

    Args:
        arms: number of them, at least two.
        looks: number of seeds at each look, rising from three or more.
        questions: number of quantities that are compared.

    Source: Armitage, McPherson and Rowe 1969, "Repeated significance tests on accumulating data".
    """
    level = 1 - (1 - LEVEL) ** (1 / questions)
    largest = _largest_t(min(arms, MOST_SIMULATED), looks)
    critical = np.quantile(largest, 1 - level, axis=1)
    # As in ``family``, nothing is claimed if the critical value is too large.
    critical[critical > LARGEST_CRITICAL_VALUE] = np.inf
    claimed = (largest > critical[:, None]).any(axis=0)
    return float(1 - (1 - claimed.mean()) ** questions)


def _largest_t(arms: int, looks: tuple[int, ...]) -> Floats:
    """Return the largest |t| over all pairs, in draws of equal arms ``[looks, draws]``."""
    first, second = np.triu_indices(arms, 1)
    draws = min(_MOST_DRAWS, max(_LEAST_DRAWS, _TABLE // (len(first) * looks[-1])))
    random = np.random.default_rng(0)
    sums, squares = np.zeros((len(first), draws)), np.zeros((len(first), draws))
    largest = []
    for n in range(1, looks[-1] + 1):
        values = random.standard_normal((arms, draws))
        leads = values[first] - values[second]
        sums += leads
        squares += leads**2
        if n in looks:
            # Rounding may make a variance of nothing negative.
            variance = np.maximum(squares - sums**2 / n, 1e-300) / (n - 1)
            largest.append(np.sqrt((sums**2 / n / variance).max(axis=0)))
    return np.array(largest)
