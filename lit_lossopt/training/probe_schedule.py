"""When the probe loss is measured.

It is at pairs of consecutive steps, by a function of settings and never of a clock.

Between single, evenly spaced steps a swing of period two is invisible: each is seen at the same height. A pair (n, n+1)
sees it, if some pairs begin at even steps and some at odd ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from lit_lossopt.core.seeds import derive_seed

# A run of so many steps is long. A shorter one takes little time in any case, and so has more pairs.
LONG = 5_000
PAIRS_OF_SHORT, PAIRS_OF_LONG = 32, 20
# In thousandths of the run. With the default diagnostics it is about 2 % from about 5,000 steps on.
COST = 11


def probe_steps(seed: int, planned: int | None, batch_size: int, images: int, first: int = 0) -> Iterator[int]:
    """Yield the steps of a run at which its probe is measured.

    Each comes once, ascending.

    The run is cut into equal strata. In each of them one pair (n, n+1) begins, at a step drawn from the seed. Of two
    neighbouring strata one pair begins at an even step and one at an odd step. The run's first step and its last
    planned step are added. There are 32 pairs, from 5,000 steps on 20, or as many more as cost 1.1 % of the run. Where
    strata would be no longer than a pair, every step is measured, as in a run of up to 64 steps.

    A probe is a forward pass, about a third of a step, and so costs ``images / (3 · batch_size)`` steps.

    Args:
        seed: of the run; the same for all arms.
        planned: number of the last step; None: nothing limits the steps, and strata have the length of which a pair
            costs 1.1 %.
        batch_size: examples of one optimizer step.
        images: of the probe, at least one.
        first: the step that the run begins with; above 0 where it begins with trained weights.
    """
    if planned is None:
        # A pair costs 2/3 of images / batch_size.
        length = -(-2000 * images // (3 * COST * batch_size))
        boundaries: Iterator[int] = count(first, length)
    else:
        strata = number_of_pairs(planned - first, batch_size, images)
        length = -(-(planned - first) // strata)
        boundaries = (first + (planned - first) * k // strata for k in range(strata + 1))
    if length <= 2:
        yield from count(first) if planned is None else range(first, planned + 1)
        return
    yield first
    latest = first
    for start in _starts(seed, boundaries):
        yield from range(max(start, latest + 1), start + 2)
        latest = start + 1
    if planned is not None and latest < planned:
        yield planned


def number_of_pairs(steps: int, batch_size: int, images: int) -> int:
    """Return how many pairs a run of so many steps has.

    It is for runs of which not every step is measured.

    The first and the last step together cost as much as a pair.
    """
    fewest = PAIRS_OF_SHORT if steps < LONG else PAIRS_OF_LONG
    return max(fewest, COST * steps * 3 * batch_size // (2000 * images) - 1)


def _starts(seed: int, boundaries: Iterator[int]) -> Iterator[int]:
    """Yield one step of each stratum.

    Its parity changes within each two strata.
    """
    low = next(boundaries)
    for stratum, high in enumerate(boundaries):
        parity = (derive_seed(seed, "probe parity", stratum // 2) + stratum) % 2
        lowest = low + (low + parity) % 2
        choices = (high - lowest + 1) // 2
        yield lowest + 2 * (derive_seed(seed, "probe step", stratum) % choices)
        low = high
