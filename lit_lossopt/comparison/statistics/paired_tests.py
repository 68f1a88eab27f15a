"""Intervals, tests of paired differences, and the seeds that these need.

Every function takes plain arrays and returns numbers.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache
from math import inf, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from lit_lossopt.comparison.comparison import SAME
from lit_lossopt.comparison.statistics.family import family_of_equals
from lit_lossopt.comparison.statistics.judge import LEAST_PAIRS, LEVEL

Floats = NDArray[np.float64]

POWER = 0.8
# Below ten pairs the nominal 95 % cover too little. Measured: 72 % at three pairs, 85 % at six, 89 % at ten.
LEAST_FOR_BOOTSTRAP = 10
# Up to twenty differences all 2ⁿ signs are enumerated, which takes a second. Beyond, so many are drawn.
_MOST_ENUMERATED = 20
_DRAWN = 20_000
_MOST_SEEDS = 1000
# Differences that are equal up to rounding have no deviation to speak of, and scipy warns of them.
_ROUNDING = 1e-9

TOO_FEW = "fewer than three pairs of seeds"
PAIRED_T = "paired t"
SIGN_FLIP = "sign-flip"


@dataclass(frozen=True)
class PairedTest:
    """The test of differences between paired runs, before any adjustment.

    Attributes:
        mean: of the differences. NaN without any.
        error: standard error of the mean. NaN without a t test.
        p: of the test that decides. NaN without a test.
        test: ``paired t``, ``sign-flip`` or empty.
        remark: why no test was made.
        effect: mean over standard deviation of the differences. NaN if unknown.
    """

    mean: float
    error: float = nan
    p: float = nan
    test: str = ""
    remark: str = ""
    effect: float = nan


def paired_test(differences: ArrayLike) -> PairedTest:
    """Return the test of differences against zero.

    The paired t test decides. If all differences are one same value other than zero, a t statistic would be infinite.
    There the sign-flip test decides. Nothing is tested below three pairs, or if every difference is zero.

    >>> test = paired_test([0.01, 0.02, 0.03])
    >>> test.test, round(test.mean, 3), round(test.p, 3)
    ('paired t', 0.02, 0.074)
    >>> paired_test([0.0, 0.0, 0.0]).remark
    'no difference'

    Args:
        differences: finite ones ``[n]``, one a seed.

    Source: Student 1908; Fisher 1935, "The Design of Experiments", §21.
    """
    d = np.asarray(differences, dtype=np.float64)
    n = len(d)
    if n and not d.any():
        return PairedTest(0.0, remark=SAME)
    mean = float(np.mean(d)) if n else nan
    if n < LEAST_PAIRS:
        return PairedTest(mean, remark=TOO_FEW)
    if np.ptp(d) <= _ROUNDING * np.abs(d).max():
        # Of all 2ⁿ signs only the two that are the same everywhere give as much.
        return PairedTest(mean, p=2.0 ** (1 - n), test=SIGN_FLIP, effect=inf)
    deviation = float(np.std(d, ddof=1))
    error = deviation / math.sqrt(n)
    # The p of scipy.stats.ttest_1samp, which takes twenty times as long. A page with many arms has thousands of pairs.
    p = float(2 * special.stdtr(n - 1, -abs(mean / error)))
    return PairedTest(mean, error, p, PAIRED_T, effect=mean / deviation)


def t_interval(values: ArrayLike) -> tuple[float, float]:
    """Return the 95 % t interval of the mean of values ``[n]``.

    mean ± t_{0.975, n − 1} · s / √n. NaN with fewer than two values.

    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return nan, nan
    if np.ptp(x) <= _ROUNDING * np.abs(x).max():
        return float(np.mean(x)), float(np.mean(x))
    interval = stats.ttest_1samp(x, 0.0).confidence_interval(1 - LEVEL)
    return float(interval.low), float(interval.high)


def median_interval(values: ArrayLike) -> tuple[float, float]:
    """Return a distribution-free interval for the median of values ``[n]``.

    It covers the median in at least 95 % of cases. It is (x_(k), x_(n + 1 − k)) with the largest k for which
    2 · P(Bin(n, ½) < k) ≤ 0.05. From six to eight values, that is the smallest and the largest one. It needs ranks
    alone, so infinite values have their place. NaN with fewer than six values, for which no such interval exists.

    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, float("inf")])
    (1.0, inf)
    >>> median_interval([1.0, 2.0])
    (nan, nan)

    Source: David and Nagaraja 2003, "Order Statistics", §7.1.
    """
    x = np.asarray(values, dtype=np.float64)
    if not len(x):
        return nan, nan
    interval = stats.quantile_test(x, p=0.5).confidence_interval(1 - LEVEL)
    return float(interval.low), float(interval.high)


def sign_flip_p(differences: ArrayLike) -> float:
    """Return the two-sided p of differences ``[n]`` under flipped signs.

    p = share of all 2ⁿ sign vectors s with |Σ s_i d_i| ≥ |Σ d_i|, so it is at least 2 / 2ⁿ. Above twenty differences
    20,000 sign vectors are drawn with a fixed seed, and p = (1 + those) / (1 + 20,000).

    >>> sign_flip_p([0.01, 0.02, 0.03])
    0.25

    Source: Pitman 1937; Phipson and Smyth 2010 for the drawn form.
    """
    # Sorted, so that the order of the seeds changes nothing, not even by rounding.
    d = np.sort(np.asarray(differences, dtype=np.float64))
    sizes = np.sort(np.abs(d))
    least = abs(float(np.sum(d))) - 1e-9 * float(np.sum(sizes))
    if len(d) > _MOST_ENUMERATED:
        return float((1 + np.sum(np.abs(_signs(len(d)) @ sizes) >= least)) / (1 + _DRAWN))
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return float(np.mean(np.abs(sums) >= least))


@lru_cache(maxsize=1)
def _signs(n: int) -> Floats:
    """Return the drawn sign vectors ``[20,000, n]``.

    They are the same for all pairs of a comparison.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (_DRAWN, n))
    signs.setflags(write=False)
    return signs


def bca_interval(differences: ArrayLike) -> tuple[float, float]:
    """Return the 95 % BCa bootstrap interval of the mean of differences ``[n]``.

    It takes 9,999 resamples with a fixed seed. NaN with fewer than ten differences.

    >>> low, high = bca_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])
    >>> low < 5.5 < high
    True

    Source: Efron 1987, "Better Bootstrap Confidence Intervals".
    """
    d = np.sort(np.asarray(differences, dtype=np.float64))
    if len(d) < LEAST_FOR_BOOTSTRAP or not np.isfinite(d).all() or np.ptp(d) <= _ROUNDING * np.abs(d).max():
        return nan, nan
    bootstrap = stats.bootstrap((d,), np.mean, method="BCa", n_resamples=9999, rng=np.random.default_rng(0))
    return float(bootstrap.confidence_interval.low), float(bootstrap.confidence_interval.high)


def wins(differences: ArrayLike) -> float:
    """Return P(A > B) from differences A − B ``[n]``.

    It is the share above zero, where ties count half. NaN without pairs.

    >>> wins([0.1, 0.2, -0.1, 0.0])
    0.625
    """
    d = np.asarray(differences, dtype=np.float64)
    return float(np.mean(d > 0) + np.mean(d == 0) / 2) if len(d) else nan


def seeds_for_power(effect: float, level: float) -> int | None:
    """Return the pairs that a paired t test needs for 80 % power.

    It is the smallest n ≥ 3 with P(|T| > t_{1 − level/2, n − 1}) ≥ 0.8. T is noncentral t with n − 1 degrees of
    freedom and shift effect · √n. The test is two-sided. None above a thousand pairs, or if the effect is unknown.

    >>> seeds_for_power(1.0, 0.05)
    10

    Args:
        effect: mean of the differences over their standard deviation.
        level: of the test.

    Source: Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences", §2.
    """
    if not math.isfinite(effect) or effect == 0 or math.isnan(level):
        return None
    low, high = LEAST_PAIRS, _MOST_SEEDS
    if _power(effect, high, level) < POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, middle, level) >= POWER else (middle + 1, high)
    return low


def seeds_for_family(arms: int, effect: float = 2.0, questions: int = 3) -> int:
    """Return the seeds with which a page usually finds a difference.

    It is the smallest n for which a paired t test at the level of the page's family has a power of 80 %.

    >>> seeds_for_family(2)
    6

    Args:
        arms: at least two, each with all seeds.
        effect: the difference over the standard deviation of the paired differences. On CIFAR-10 one point of accuracy
            and a factor of 1.3 in steps are about two.
        questions: of the page, which are speed, final value and oscillation.
    """
    return next(
        n
        for n in itertools.count(LEAST_PAIRS)
        if _power(effect, n, family_of_equals(arms, n, questions).level) >= POWER
    )


def _power(effect: float, n: int, level: float) -> float:
    critical = float(special.stdtrit(n - 1, 1 - level / 2))
    shift = min(abs(effect) * math.sqrt(n), 1e3)
    # So far above the critical value that the distribution function gives out.
    if shift > critical + 30:
        return 1.0
    below = special.nctdtr(n - 1, shift, critical)
    # What falls beyond −t adds nothing that could be seen at 80 %.
    return float(1 - below)
