"""Accuracies are shares of 1.

Other programs log them from 0 to 100, and people type them so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lit_lossopt.comparison.comparison import ArmRuns
from lit_lossopt.comparison.grouping.arms import Grouping
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.numbers import listed
from lit_lossopt.tracking.reading.runs import History, Run

SHARE, PER_CENT, UNSURE, NONE = "share", "per cent", "unsure", "none"
# Rounding may lift a share of 1 a little.
_MOST = 1 + 1e-6


def as_shares(grouping: Grouping, metric: str, others: Sequence[str]) -> tuple[Grouping, list[str]]:
    """Return what is compared with its accuracies from 0 to 1.

    With it come the names of those accuracies that were logged from 0 to 100. An arm in which any value is above 1 was
    logged in per cent. One that stays below while another does not may be either, unless this package logged it.

    Args:
        grouping: arms, with the histories of these metrics.
        metric: the compared one.
        others: further ones, which are shown. A history whose unit is not sure is left out.

    Raises:
        UserError: it is not sure in which unit the compared metric was logged.
    """
    arms, in_per_cent = [*grouping.arms, *grouping.tuning], []
    for name in filter(is_accuracy, dict.fromkeys([metric, *others])):
        units = [_unit(arm, name) for arm in arms]
        if PER_CENT not in units:
            continue
        in_per_cent.append(name)
        if name == metric and UNSURE in units:
            above, below = (
                [arm.name for arm, unit in zip(arms, units, strict=True) if unit == wanted]
                for wanted in (PER_CENT, UNSURE)
            )
            raise UserError(
                f"{metric} goes above 1 in the runs of {listed(above)} and never in those of {listed(below)}. "
                "Are these from 0 to 1, or from 0 to 100? Compare them separately, with --filter or --runs"
            )
        arms = [
            arm if unit in {SHARE, NONE} else replace(arm, runs=tuple(_with_share(run, name, unit) for run in arm.runs))
            for arm, unit in zip(arms, units, strict=True)
        ]
    count = len(grouping.arms)
    return replace(grouping, arms=tuple(arms[:count]), tuning=tuple(arms[count:])), in_per_cent


def typed_target(target: float | None, metric: str) -> float | None:
    """Return a target as it was typed.

    An accuracy above 1 is in per cent.

    >>> typed_target(95.0, "val/accuracy"), typed_target(95.0, "val/nll")
    (0.95, 95.0)
    """
    return target / 100 if target is not None and target > 1 and is_accuracy(metric) else target


def typed_margin(margin: float, metric: str, *, in_per_cent: bool) -> float:
    """Return a margin as it was typed.

    Of an accuracy in per cent, and from 1 on, it is in points.

    >>> typed_margin(1.0, "val/accuracy", in_per_cent=False), typed_margin(0.5, "val/accuracy", in_per_cent=True)
    (0.01, 0.005)
    """
    return margin / 100 if is_accuracy(metric) and (in_per_cent or margin >= 1) else margin


def _unit(arm: ArmRuns, metric: str) -> str:
    histories = [run.histories[metric].values for run in arm.runs if metric in run.histories]
    values = np.concatenate(histories) if histories else np.empty(0)
    if not np.isfinite(values).any():
        return NONE
    if float(values[np.isfinite(values)].max()) > _MOST:
        return PER_CENT
    return SHARE if all(names.TAG_FRAMEWORK in run.tags for run in arm.runs) else UNSURE


def _with_share(run: Run, metric: str, unit: str) -> Run:
    histories: Mapping[str, History] = {name: other for name, other in run.histories.items() if name != metric}
    history = run.histories.get(metric)
    if history is not None and unit == PER_CENT:
        histories = {**histories, metric: replace(history, values=history.values / 100)}
    return replace(run, histories=histories)
