"""The numbers of an answer as metrics.

They are those of the run that stands for the whole comparison.
"""

from __future__ import annotations

import re
from math import isfinite

from lit_lossopt.comparison.comparison import Comparison

# MLflow takes few signs in the names of metrics.
_NOT_IN_NAMES = re.compile(r"[^\w\-. ]")


def answer_metrics(comparison: Comparison) -> dict[str, float]:
    """Return the metrics of an answer by name.

    Those of the best arm come first, then those of each arm. What is not finite is left out.

    The best arm's final value has the compared metric's own name: it stands in the column of the trials' values.
    """
    # Where the answer names no arm best, it is the one with the highest mean.
    best = next((arm for arm in comparison.arms if arm.name in comparison.alike[:1]), comparison.arms[0])
    metrics = {
        comparison.metric: best.final.value,
        "answer/interval_low": best.final.low,
        "answer/interval_high": best.final.high,
        "answer/runs": len(best.trials),
        "answer/target": comparison.target,
        "answer/steps_to_target": best.steps_to_target.value,
        "answer/arms": len(comparison.arms),
        # The best one, and those that cannot be told apart from it.
        "answer/arms_alike": len(comparison.alike),
    }
    for arm in comparison.arms:
        name = _NOT_IN_NAMES.sub("_", arm.name)
        metrics |= {
            f"final/{name}": arm.final.value,
            f"steps_to_target/{name}": arm.steps_to_target.value,
            f"climb_back/{name}": arm.climb_back.value,
        }
    return {name: float(value) for name, value in metrics.items() if isfinite(value)}
