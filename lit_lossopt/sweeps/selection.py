"""Which point of an arm wins.

It also says whether the point lies at an edge. These are pure functions of what the search gave.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lit_lossopt.core.names import Verdict
from lit_lossopt.sweeps.plan.arms import Arm, Reach, points_of
from lit_lossopt.sweeps.plan.points import LogGrid, Point
from lit_lossopt.sweeps.trial import Trial
from lit_lossopt.tracking.trial_runs import TrialRun


def final(accuracies: Sequence[float]) -> float:
    """Return the mean of the last tenth of evaluations.

    At least one counts. It is NaN where there are none.

    Source: the same as ``compare``'s final value.
    """
    last = accuracies[-max(1, len(accuracies) // 10) :]
    return math.fsum(last) / len(last) if last else math.nan


def scores(trials: Sequence[Trial], results: Mapping[str, TrialRun]) -> dict[tuple[tuple[str, float], ...], float]:
    """Return the score of each point of an arm.

    It is the mean final accuracy over its seeds. Only points count whose seeds all came to an end.

    A point of which a seed diverged counts as minus infinity: it never beats one that holds.
    """
    grouped: dict[tuple[tuple[str, float], ...], list[Trial]] = {}
    for trial in trials:
        grouped.setdefault(tuple(trial.point.items()), []).append(trial)
    score_of = {}
    for point, seeds in grouped.items():
        ended = [results[trial.key] for trial in seeds if trial.key in results]
        if len(ended) < len(seeds):
            continue
        finals = [final(run.accuracies) for run in ended]
        sound = all(run.verdict != Verdict.DIVERGED for run in ended) and not any(map(math.isnan, finals))
        score_of[point] = math.fsum(finals) / len(finals) if sound else -math.inf
    return score_of


def winner(arm: Arm, reach: Reach, trials: Sequence[Trial], results: Mapping[str, TrialRun]) -> Point | None:
    """Return the point of the best mean final accuracy.

    It is None where no point came to an end without diverging.

    Of points that are equal the one nearest to the middle of the grid wins.
    """
    score = scores([trial for trial in trials if trial.arm == arm.name], results)
    tried = points_of(arm, reach)
    middle = (len(tried) - 1) / 2
    ranked = [
        (score.get(tuple(point.items()), -math.inf), -abs(index - middle), -index) for index, point in enumerate(tried)
    ]
    best = max(range(len(tried)), key=ranked.__getitem__)
    return tried[best] if ranked[best][0] > -math.inf else None


def edge(arm: Arm, reach: Reach, trials: Sequence[Trial], results: Mapping[str, TrialRun]) -> Reach:
    """Return at which end of its grid an arm's best point lies.

    It counts 1 below or above, and 0 where the point lies at no end.

    Where every point diverged the best one lies below.
    """
    if not isinstance(arm.search, LogGrid):
        return Reach()
    mine = [trial for trial in trials if trial.arm == arm.name]
    best, tried = winner(arm, reach, trials, results), points_of(arm, reach)
    if best is None:
        return Reach(below=int(all(trial.key in results for trial in mine)))
    return Reach(int(best == tried[0]), int(best == tried[-1]))
