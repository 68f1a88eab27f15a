"""The verdicts that a run's curves give.

Most programs end a run whose loss is NaN as they end any other. Here it is called diverged or collapsed, whatever
program logged it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.grouping.loss_names import evaluation_losses, training_losses
from lit_lossopt.comparison.grouping.name_words import words_of
from lit_lossopt.comparison.measures.trial import finite, verdict_of
from lit_lossopt.comparison.metric import higher_is_better, is_accuracy
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.names import Verdict
from lit_lossopt.diagnostics.health import FACTOR, FALL, FIRST, LAST, LossTrack, never_learned, rose
from lit_lossopt.tracking.reading.runs import History, Run

# Fewer losses than this cannot explode, because there is nothing to take a median of.
_FEWEST = 4
# Two histories share an axis if one is at most so many times as long as the other.
_SAME_AXIS = 2.0
# A history with so few losses an evaluation holds means of epochs.
_COARSE = 1.5
_CLOCKS = {names.TRAIN_SECONDS, names.EXAMPLES, names.EPOCHS}


@dataclass(frozen=True)
class _Break:
    """A metric that stays not finite from a step on."""

    metric: str
    step: int

    def __str__(self) -> str:
        return f"{self.metric} is not finite from step {self.step:,} on"


def judged(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return the same runs with the verdicts of their curves.

    - Diverged: the training loss, the compared metric or an evaluated loss ends in values that are not finite, or the
      training loss has exploded. The evaluated loss may triple by mere overfitting, so it never counts as exploded.
      A gap that finite values follow is none, as a skipped step in half precision, or a score of a batch without
      positives. Neither is a last loss of a single step before a finite evaluated loss, nor a score that cannot be
      computed (NaN to its end, or always) while the losses stay finite.
    - Collapsed: the loss of steps never fell, and no accuracy or compared metric got better. Mixed labels give a loss
      a floor, so it condemns no run whose accuracy rises. A run with a verdict of ours is not judged by this rule. The
      same rule made that verdict and saw the predictions too, which curves do not hold.

    The verdict comes with its evidence. Evaluations behind a divergence become NaN, since an accuracy is finite
    whatever the weights are. Only runs that ended well are judged. One that its program called diverged, failed or
    interrupted stays so.

    Args:
        runs: with histories.
        metric: the compared one.
    """
    return [_judged(run, metric) if verdict_of(run) == Verdict.COMPLETED else run for run in runs]


def judged_note(before: Sequence[Run], after: Sequence[Run]) -> list[str]:
    """Say which runs their curves judge otherwise than their program did.

    There is one sentence a verdict.
    """
    notes = []
    for verdict in (Verdict.DIVERGED, Verdict.COLLAPSED):
        changed = [
            new
            for old, new in zip(before, after, strict=True)
            if verdict_of(new) == verdict and verdict_of(old) != verdict
        ]
        if changed:
            first = changed[0]
            runs = "1 run" if len(changed) == 1 else f"{len(changed)} runs"
            evidence = f"{one_line(first.name or first.run_id, 60)}: {first.tags[names.TAG_EVIDENCE]}"
            notes.append(f"{runs} {verdict} by the curves, though logged as completed ({evidence}).")
    return notes


def _judged(run: Run, metric: str) -> Run:
    breaks = _breaks(run, metric)
    for metric_break in breaks:
        run = _cut(run, metric_break)
    if breaks:
        return _with_verdict(run, Verdict.DIVERGED, str(breaks[0]))
    known = training_losses(run.histories)
    losses = finite(run.histories[known[0]] if known else None)
    exploded = _exploded(losses.values)
    if exploded:
        return _with_verdict(run, Verdict.DIVERGED, exploded)
    if names.TAG_VERDICT in run.tags:
        return run
    stuck = _never_learned(losses.values, run, metric)
    return _with_verdict(run, Verdict.COLLAPSED, stuck) if stuck else run


def _with_verdict(run: Run, verdict: Verdict, evidence: str) -> Run:
    return replace(run, tags={**run.tags, names.TAG_VERDICT: verdict, names.TAG_EVIDENCE: evidence})


def _breaks(run: Run, metric: str) -> list[_Break]:
    """Return the breaks that say that a run diverged."""
    training, evaluated = training_losses(run.histories)[:1], evaluation_losses(run.histories)
    ends_well = [name for name in evaluated if _ends_finite(run.histories[name])]
    losses = [*training, *evaluated]
    sound = bool(losses) and all(_ends_finite(run.histories[name]) for name in losses)
    breaks = []
    for name in dict.fromkeys([*losses, metric]):
        history = run.histories.get(name)
        if history is None or _ends_finite(history):
            continue
        tail = _tail(history)
        skipped = name in training and len(tail) == 1 and len(history.steps) > 1 and bool(ends_well)
        # A score may be undefined if its batch has one class only.
        undefined = (
            name not in losses and not is_accuracy(name) and _rises(name) and (sound or len(tail) == len(history.steps))
        )
        if not skipped and not undefined:
            breaks.append(_Break(name, int(tail[0])))
    return breaks


def _ends_finite(history: History) -> bool:
    return not len(history.values) or bool(np.isfinite(history.values[-1]))


def _tail(history: History) -> NDArray[np.int64]:
    """Return the steps behind the last finite value."""
    good = np.flatnonzero(np.isfinite(history.values))
    return history.steps[good[-1] + 1 :] if len(good) else history.steps


def _rises(metric: str) -> bool:
    """Return True if the metric's name says that higher is better.

    It is False if the name says nothing.
    """
    try:
        return higher_is_better(metric)
    except UserError:
        return False


def _cut(run: Run, metric_break: _Break) -> Run:
    """Return a run whose evaluations from a break on are NaN."""
    broken = run.histories[metric_break.metric]
    apart = {metric_break.metric, *training_losses(run.histories), *_CLOCKS}
    cut = {
        name: _until(history, broken, metric_break.step) for name, history in run.histories.items() if name not in apart
    }
    return replace(run, histories={**run.histories, **cut})


def _until(history: History, broken: History, step: int) -> History:
    """Return a history that is NaN from a step of another one on.

    If the two have different axes, the share of the way counts instead of the step.
    """
    if not len(history.steps):
        return history
    lengths = sorted((float(history.steps[-1]), float(broken.steps[-1])))
    late = history.steps >= step
    if lengths[1] > _SAME_AXIS * lengths[0]:
        late = _way(history.steps) >= _way(broken.steps)[np.searchsorted(broken.steps, step)]
    return replace(history, values=np.where(late, np.nan, history.values))


def _way(steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how far along its history each step lies.

    The result is from 0 to 1.
    """
    way: NDArray[np.float64] = (steps - steps[0]) / max(1, int(steps[-1] - steps[0]))
    return way


def _exploded(losses: NDArray[np.float64]) -> str:
    """Return the evidence that finite losses have diverged.

    It is empty if there is none.

    From sixty losses on it is the rule of ``LossTrack``. Its windows of 10 and 50 would be a sixth and five sixths of a
    run that has just sixty, and of a shorter one the second would hold most of its learning. Few losses are mostly
    means of epochs, with little noise. So there the median of the last quarter (at least two) is held against that of
    the first sixth (at least one), by the same factor.
    """
    count = len(losses)
    if count >= FIRST + LAST:
        track = LossTrack()
        # Only both ends count, and those between would take longer than to read them.
        track.add([*losses[:FIRST].tolist(), *losses[-LAST:].tolist()])
        return track.has_exploded()
    if count < _FEWEST:
        return ""
    first, last = max(1, count // 6), max(2, count // 4)
    start, end = float(np.median(losses[:first])), float(np.median(losses[-last:]))
    if end <= start + (FACTOR - 1) * abs(start):
        return ""
    return f"median loss {end:.4g} over the last {last} of {count} values, {start:.4g} over the first {first}"


def _never_learned(losses: NDArray[np.float64], run: Run, metric: str) -> str:
    """Return the evidence that a run never learned.

    It is empty if there is none.

    Means of epochs are not judged, because the first one already contains learning.
    """
    evaluations = finite(run.histories.get(metric)).values
    if len(losses) <= _COARSE * len(evaluations):
        return ""
    track = LossTrack()
    track.add(losses.tolist())
    rising = [name for name in run.histories if is_accuracy(name) and "train" not in words_of(name)]
    rising += [metric] if _rises(metric) else []
    better = any(rose(finite(run.histories.get(name)).values.tolist()) for name in rising)
    fell = not _rises(metric) and len(evaluations) > 0 and _fell(evaluations)
    return never_learned(track, track.count, better=better or fell)


def _fell(values: NDArray[np.float64]) -> bool:
    return len(values) == 1 or bool(values.min() < values[0] - FALL * abs(values[0]))
