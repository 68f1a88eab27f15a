"""Claims that hold however often one looks.

Seeds may be added after looking, as many as a person likes, and for whatever reason. The price is a wider interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from scipy import optimize, special

from lit_lossopt.comparison.statistics.judge import LEVEL, Judge

# The standard deviation of the effects that are expected, as means over deviations. Three cost few seeds where effects
# are large, and little more where they are small (benchmarks/race.py).
EXPECTED_EFFECT = 3.0
# Beyond this a critical value is as good as infinite.
_LARGEST_LOG_T = 20.0


@dataclass(frozen=True)
class AnyTime(Judge):
    """A judge by e-values.

    Among equal arms of normal noise, the e-value of a pair ever exceeds m / 0.05 with a chance of 0.05 / m. With m
    comparisons that makes 5 % for any claim at any time.

    Attributes:
        comparisons: pairs that are tested, over all questions.
        effect: the standard deviation of the effects that are expected. It changes the power, not the error.

    >>> AnyTime(1).critical_value(8) > 4
    True

    Source: Pérez-Ortiz, Lardy, de Heide and Grünwald 2022, "E-statistics, group invariance and anytime-valid testing";
    Ville 1939 for the bound; Gönen et al. 2005, "The Bayesian two-sample t test", for the closed form.
    """

    comparisons: int
    effect: float = EXPECTED_EFFECT

    def level_of(self, pairs: int) -> float:
        """Return the p at which the e-value of a pair is large enough."""
        bound = math.log(self.comparisons / LEVEL) if self.comparisons else math.inf
        critical = _critical_t(pairs, bound, self.effect)
        return float(2 * special.stdtr(pairs - 1, -critical)) if math.isfinite(critical) else 0.0

    def adjusted(self, p: float, pairs: int) -> float:
        """Return the number of comparisons over the e-value, at most 1."""
        if math.isnan(p):
            return math.nan
        if p == 0:
            # So small that it has no digits left.
            return 0.0
        t = -float(special.stdtrit(pairs - 1, p / 2))
        return min(1.0, self.comparisons * math.exp(-log_e_value(t, pairs, self.effect)))


def log_e_value(t: float, pairs: int, effect: float = EXPECTED_EFFECT) -> float:
    """Return the logarithm of the e-value of a paired t statistic.

    It is the ratio of two likelihoods of t. In one the effect (mean over deviation) is drawn from a normal
    distribution of mean 0, in the other it is 0. Means and deviations need not be known.

    ½ · [n · ln((1 + t²/ν) / (1 + t²/(ν(1 + n τ²)))) − ln(1 + n τ²)] with ν = n − 1.

    >>> log_e_value(0.0, 8) < 0 < log_e_value(5.0, 8)
    True
    """
    freedom, wider = pairs - 1, 1 + pairs * effect**2
    return 0.5 * (pairs * (math.log1p(t * t / freedom) - math.log1p(t * t / (freedom * wider))) - math.log(wider))


@lru_cache(maxsize=4096)
def _critical_t(pairs: int, log_bound: float, effect: float) -> float:
    """Return the |t| at which the e-value reaches a bound, or infinity."""

    def beyond(log_t: float) -> float:
        return log_e_value(math.exp(log_t), pairs, effect) - log_bound

    if pairs < 2 or not beyond(_LARGEST_LOG_T) >= 0:
        return math.inf
    return math.exp(optimize.brentq(beyond, -_LARGEST_LOG_T, _LARGEST_LOG_T))
