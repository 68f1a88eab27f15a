"""The ripple of every run.

It is told by the step losses of all arms that share its seed. Runs in arms come in. Ripples, or ratios of them, go out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.measures.clocks import batch_of
from lit_lossopt.comparison.measures.oscillation import LEAST_STEPS, ripple_ratios, ripples, window_length
from lit_lossopt.comparison.measures.trial import finite, seed_of, verdict_of
from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.tracking.reading.runs import History

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]


@dataclass(frozen=True)
class Ripples:
    """The ripples of all runs.

    Attributes:
        values: run id → ripple, if it is defined.
        are_ratios: whether they are ratios of one arm's to the other's.
        notes: what a reader must know of them, one sentence each.
    """

    values: dict[str, float] = field(default_factory=dict)
    are_ratios: bool = False
    notes: tuple[str, ...] = ()


def measure_ripples(arms: Sequence[ArmRuns]) -> Ripples:
    """Return the ripples of completed runs, seed by seed.

    They are over the steps that all runs of a seed have. Arms of different batch size did not see the same batches.
    Their noise cannot be told from ripple, so none is given.

    Args:
        arms: with at most one run a seed.
    """
    if len({f"{batch_of(run):g}" for arm in arms for run in arm.runs}) > 1:
        return Ripples(
            notes=(
                "Arms differ in batch size, so the noise of their batches cannot be taken out, and there is no ripple.",
            )
        )
    together = _by_seed(arms)
    most = max(map(len, together), default=0)
    # Ripples and ratios do not mix: where some seed has three arms, a seed with two has no ripple.
    together = [losses for losses in together if len(losses) >= min(max(most, 2), 3)]
    names_of = {run.run_id: arm.name for arm in arms for run in arm.runs}
    if not together:
        return Ripples()
    if most == 2 and len({names_of[run_id] for losses in together for run_id in losses}) > 2:
        return Ripples(
            notes=(
                "Every seed has two arms, but not the same two. Ratios of ripple cannot be compared, so none is given.",
            )
        )
    window = window_length(min(len(next(iter(losses.values()))) for losses in together))
    values: dict[str, float] = {}
    for losses in together:
        of_seed = ripples(list(losses.values()), window) if most > 2 else ripple_ratios(list(losses.values()), window)
        values |= dict(zip(losses, of_seed, strict=True))
    ratio_note = "With two arms, ripple is the ratio of the detrended RMS of an arm's step losses to that of the other."
    return Ripples(values, most == 2, (ratio_note,) if most == 2 else ())


def _by_seed(arms: Sequence[ArmRuns]) -> list[dict[str, Floats]]:
    """Return, for each seed, run id → losses ``[n]``.

    The losses are at the steps that all completed runs of the seed have. Seeds with too few such steps are left out.
    """
    seeds: dict[str, dict[str, History]] = {}
    for arm in arms:
        for run in arm.runs:
            losses = finite(run.histories.get(names.TRAIN_LOSS))
            if seed_of(run) and verdict_of(run) == Verdict.COMPLETED and len(losses.steps) >= LEAST_STEPS:
                seeds.setdefault(seed_of(run), {})[run.run_id] = losses
    by_seed = []
    for histories in seeds.values():
        steps = reduce(_in_both, (history.steps for history in histories.values()))
        if len(steps) >= LEAST_STEPS:
            by_seed.append(
                {run_id: history.values[np.isin(history.steps, steps)] for run_id, history in histories.items()}
            )
    return by_seed


def _in_both(first: Steps, second: Steps) -> Steps:
    return first if np.array_equal(first, second) else np.intersect1d(first, second, assume_unique=True)
