"""Which runs count, and why the others are left out.

Runs are asked twice: by their metadata before any history is read, and by their histories once these are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, isnan

from lit_lossopt.comparison.comparison import ArmRuns, LeftOut
from lit_lossopt.comparison.grouping.loss_names import training_losses
from lit_lossopt.comparison.grouping.notes import note_on_repeats, notes_on_origins, notes_on_seeds
from lit_lossopt.comparison.measures.trial import curve_of, final_of, seed_of, verdict_of
from lit_lossopt.core import names
from lit_lossopt.core.names import RESULTS, Status, Verdict
from lit_lossopt.tracking.reading.runs import Run

REPEATED = "repeated by a newer run"
HOLDS = "holds other runs together"
# Phases of a sweep whose runs are none of its results.
_PHASES = {names.ASIDE: "set aside: no longer in its sweep's plan", names.TRUNK: "trained for branches only"}
_GOING_ON = (Status.RUNNING, Status.SCHEDULED)


@dataclass(frozen=True)
class Selection:
    """What can be compared.

    Attributes:
        arms: with their comparable runs, in the order of seeds.
        left_out: the other runs.
        notes: what a reader must know, one sentence each.
    """

    arms: tuple[ArmRuns, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    def reasons(self) -> str:
        """Return why runs were left out, with counts."""
        counts = Counter(run.reason for run in self.left_out)
        return "; ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "there are none"


def reason_left_out(run: Run, metric: str, *, with_histories: bool) -> str:
    """Return why a run does not count, or an empty text.

    Only the run itself is looked at. Interrupted, failed and running runs are missing data. Diverged and collapsed ones
    count, evaluated or not.

    Args:
        run: as it was read.
        metric: the compared one.
        with_histories: whether histories are read. Without them, the last values of metrics tell.
    """
    if run.deleted:
        return "deleted"
    if run.tags.get(names.TAG_PHASE) in _PHASES:
        return _PHASES[run.tags[names.TAG_PHASE]]
    if run.status in _GOING_ON and not with_histories:
        return "still running (or killed: lossopt sync marks it)"
    verdict = verdict_of(run)
    if verdict not in RESULTS:
        return verdict
    if with_histories:
        return _reason_by_histories(run, metric)
    # A training loss that ends in no finite value: it may have diverged before its first evaluation.
    broke_early = any(not isfinite(run.metrics[name]) for name in training_losses(run.metrics)[:1])
    return "" if metric in run.metrics or verdict == Verdict.DIVERGED or broke_early else f"no {metric}"


def _reason_by_histories(run: Run, metric: str) -> str:
    if run.missing_trunk:
        return f"its first steps are gone with run {run.missing_trunk}, which it branches off"
    completed = verdict_of(run) == Verdict.COMPLETED
    return "never evaluated" if completed and not len(curve_of(run, metric).values) else ""


def without_comparisons(runs: Sequence[Run]) -> list[Run]:
    """Return the runs that are trainings.

    Our own comparisons, range tests and parents of sweeps are not.
    """
    return [run for run in runs if not set(names.TAGS_OF_NO_RESULT) & run.tags.keys()]


def candidates(runs: Sequence[Run], metric: str) -> tuple[list[Run], list[LeftOut]]:
    """Return the runs that may count, and the others.

    Their metadata decide. Runs that only hold others together, without metrics, are neither. A search's parent that
    carries its best child's metric is no further result. Of several results of one trial of a sweep the newest counts.

    Args:
        runs: as read, without histories.
        metric: that the runs must have. One that diverged before its first evaluation counts without.
    """
    parents = {run.tags[names.TAG_PARENT] for run in runs if names.TAG_PARENT in run.tags}
    holders = _holders(runs, metric)
    trainings = [run for run in without_comparisons(runs) if run.metrics or run.run_id not in parents]

    def reason(run: Run) -> str:
        own = reason_left_out(run, metric, with_histories=False)
        return own or (HOLDS if run.run_id in holders else "")

    return _split(trainings, reason, _trial_key)


def repeated_by(kept: Sequence[Run], runs: Sequence[Run], left_out: Sequence[LeftOut]) -> dict[str, tuple[Run, ...]]:
    """Return the id of each run that repeats others → those others.

    Args:
        kept: the runs that may count, by ``candidates``.
        runs: all that were read.
        left_out: those that do not count, by ``candidates``.
    """
    ids = {run.run_id for run in left_out if run.reason == REPEATED}
    older = [(_trial_key(run), run) for run in runs if run.run_id in ids]
    found = {run.run_id: tuple(old for key, old in older if key == _trial_key(run)) for run in kept}
    return {run_id: runs for run_id, runs in found.items() if runs}


def select(arms: Sequence[ArmRuns], metric: str) -> Selection:
    """Return the arms with those runs that count by their histories.

    Of several runs of one arm with one seed the newest counts, since the others are no further evidence.

    Args:
        arms: with runs whose histories are read.
        metric: the compared one.
    """
    kept: list[ArmRuns] = []
    left_out: list[LeftOut] = []
    for arm in arms:
        usable, out = _split(arm.runs, lambda run: reason_left_out(run, metric, with_histories=True), seed_of)
        left_out += out
        if usable:
            # Short texts first, so that seed 10 comes after seed 9. Runs without a seed stand last, by their ids.
            ordered = sorted(usable, key=lambda run: _place(seed_of(run) or f"\0{run.run_id}"))
            kept.append(replace(arm, runs=tuple(ordered)))
    if all(isnan(final_of(run, metric)) for arm in kept for run in arm.runs):
        left_out += [LeftOut(run.run_id, run.name, f"without a finite {metric}") for arm in kept for run in arm.runs]
        kept = []
    repeats = sum(run.reason == REPEATED for run in left_out)
    return Selection(
        tuple(kept), tuple(left_out), (*note_on_repeats(repeats), *notes_on_seeds(kept), *notes_on_origins(kept))
    )


def _split(
    runs: Sequence[Run], reason: Callable[[Run], str], same: Callable[[Run], object]
) -> tuple[list[Run], list[LeftOut]]:
    """Return the runs that count, and the others with their reasons.

    Args:
        runs: in any order, which stays.
        reason: why a run does not count by itself, or an empty text.
        same: what runs share that repeat each other. Nothing repeats a run where this is empty.
    """
    reasons = {run.run_id: reason(run) for run in runs}
    newest: dict[object, str] = {}
    for run in sorted(runs, key=lambda run: (run.start, run.run_id)):
        if reasons[run.run_id] or not same(run):
            continue
        if same(run) in newest:
            reasons[newest[same(run)]] = REPEATED
        newest[same(run)] = run.run_id
    kept = [run for run in runs if not reasons[run.run_id]]
    return kept, [LeftOut(run.run_id, run.name, reasons[run.run_id]) for run in runs if reasons[run.run_id]]


def _trial_key(run: Run) -> tuple[str, str, str] | None:
    """Return which trial of a sweep a run is, or None."""
    key = run.tags.get(names.TAG_TRIAL_KEY)
    return None if key is None else (key, seed_of(run), run.tags.get(names.TAG_PHASE, ""))


def _place(seed: str) -> tuple[int, str]:
    return len(seed), seed


def _holders(runs: Sequence[Run], metric: str) -> set[str]:
    """Return the ids of runs that hold others together.

    The others carry the metric themselves. A training is no such run, since its own children carry none.
    """
    above = {run.run_id: run.tags.get(names.TAG_PARENT, "") for run in runs}
    holders: set[str] = set()
    for run in without_comparisons(runs):
        parent = above[run.run_id] if metric in run.metrics and not run.deleted else ""
        while parent and parent not in holders:
            holders.add(parent)
            parent = above.get(parent, "")
    return holders
