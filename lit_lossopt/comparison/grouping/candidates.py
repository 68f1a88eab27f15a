"""Which runs can be compared, and why others cannot."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from lit_lossopt.comparison.comparison import LeftOut
from lit_lossopt.comparison.grouping.loss_names import training_losses
from lit_lossopt.comparison.measures.trial import seed_of, verdict_of
from lit_lossopt.core import names
from lit_lossopt.core.errors import one_line
from lit_lossopt.core.names import RESULTS, Verdict
from lit_lossopt.tracking.reading.runs import Run

HOLDS = "holds other runs together"
_GOING_ON = ("RUNNING", "SCHEDULED")


def without_comparisons(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that are trainings.

    Comparisons, range tests and parents of sweeps of this package are left out.
    """
    return [run for run in runs if not set(names.TAGS_OF_NO_RESULT) & run.tags.keys()]


def candidates(runs: Sequence[Run], metric: str) -> tuple[list[Run], list[LeftOut]]:
    """Return the runs that are results, and the others with reasons.

    The others are missing data.

    Runs that only hold others together, without metrics, are neither. A search's parent that carries its best child's
    metric is no further result.

    Args:
        runs: as read, without histories.
        metric: that the runs must have; one that diverged before its first evaluation counts without.
    """
    parents = {run.tags[names.TAG_PARENT] for run in runs if names.TAG_PARENT in run.tags}
    holders = _holders(runs, metric)
    runs = [run for run in without_comparisons(runs) if run.metrics or run.run_id not in parents]
    reasons = {run.run_id: _reason(run, metric) or (HOLDS if run.run_id in holders else "") for run in runs}
    _mark_retries([run for run in runs if not reasons[run.run_id]], reasons)
    kept = [run for run in runs if not reasons[run.run_id]]
    left = [LeftOut(run.run_id, run.name, reasons[run.run_id]) for run in runs if reasons[run.run_id]]
    return kept, left


def notes_on(runs: Sequence[Run]) -> list[str]:
    """Return notes on runs whose histories were read.

    They speak of doubtful points, missing points and odd beginnings.
    """
    notes = []
    overridden = [(sum(one.overridden for one in run.histories.values()), run.name or run.run_id) for run in runs]
    doubled = [pair for pair in overridden if pair[0]]
    if doubled:
        count, name = max(doubled)
        notes.append(
            f"{_runs(len(doubled))} logged several values at one step ({one_line(name, 60)}: {count:,}); the one that "
            "was logged last counts."
        )
    single = [run for run in runs if any(_one_step(run, name) for name in run.histories)]
    if single:
        notes.append(f"{_runs(len(single))} logged all values of a metric at one step: log them with step=…")
    undelivered = sum(names.TAG_UNDELIVERED in run.tags for run in runs)
    if undelivered:
        notes.append(f"{_runs(undelivered)} lack values that were not delivered to the store: run lossopt sync.")
    lost = sum(bool(run.tags.get(names.TAG_LOST)) for run in runs)
    if lost:
        notes.append(f"{_runs(lost)} lost values to a full disk: their curves have gaps.")
    continued = sum(names.TAG_CONTINUES in run.tags for run in runs)
    if continued:
        notes.append(f"{_runs(continued)} went on from another run's checkpoint: curves begin there.")
    return notes


def _reason(run: Run, metric: str) -> str:
    if run.deleted:
        return "deleted"
    if run.tags.get(names.TAG_PHASE) == names.ASIDE:
        return "set aside: no longer in its sweep's plan"
    if run.status in _GOING_ON:
        return "still running (or killed: lossopt sync marks it)"
    verdict = verdict_of(run)
    if verdict not in RESULTS:
        return verdict
    return f"no {metric}" if metric not in run.metrics and verdict != Verdict.DIVERGED and not _broke_early(run) else ""


def _broke_early(run: Run) -> bool:
    """Return True if the last training loss is not finite.

    Such a run may have diverged.
    """
    return any(not isfinite(run.metrics[name]) for name in training_losses(run.metrics)[:1])


def _holders(runs: Sequence[Run], metric: str) -> set[str]:
    """Return the ids of runs that hold others together.

    Runs below them carry the metric themselves. The children of a training carry none.
    """
    above = {run.run_id: run.tags.get(names.TAG_PARENT, "") for run in runs}
    found: set[str] = set()
    for run in without_comparisons(runs):
        parent = above[run.run_id] if metric in run.metrics and not run.deleted else ""
        while parent and parent not in found:
            found.add(parent)
            parent = above.get(parent, "")
    return found


def _mark_retries(runs: Sequence[Run], reasons: dict[str, str]) -> None:
    """Of several results of one trial the newest counts."""
    newest: dict[tuple[str, str, str], Run] = {}
    for run in sorted(runs, key=lambda run: (run.start, run.run_id)):
        if names.TAG_TRIAL_KEY not in run.tags:
            continue
        trial = (run.tags[names.TAG_TRIAL_KEY], seed_of(run), run.tags.get(names.TAG_PHASE, ""))
        if trial in newest:
            reasons[newest[trial].run_id] = "repeated by a newer run"
        newest[trial] = run


def _one_step(run: Run, name: str) -> bool:
    history = run.histories[name]
    return len(history.steps) == 1 and history.overridden > 0


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
