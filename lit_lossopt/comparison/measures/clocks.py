"""How one run counts its evaluations.

Its metric was logged by step or by epoch, and an epoch has a number of steps. A run with its histories comes in, a
``Clock`` goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite, isnan, nan

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.comparison.measures.trial import curve_of, finite, verdict_of
from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.tracking.reading.runs import Run

Floats = NDArray[np.float64]

STEP, EPOCH, UNSURE = "step", "epoch", ""
# Lightning and Hugging Face log the epoch beside each value, under this name.
LOGGED_EPOCH = "epoch"
_PLANNED = ("max_epochs", "num_train_epochs", "num_epochs", "n_epochs", "epochs")
_BATCH = ("train_batch_size", "batch_size", "per_device_train_batch_size")
_ACCUMULATED = ("accumulate_grad_batches", "gradient_accumulation_steps")
# A loss that was logged so many times as far as the evaluations counts something else than they do. Evaluations at
# distances may end a little before the losses, so there it takes more.
_FURTHER, _MUCH_FURTHER = 2, 10


@dataclass(frozen=True, eq=False)
class Clock:
    """How a run counts.

    Attributes:
        unit: of the steps at which the metric was logged, which is step, epoch or unsure.
        why: what says that it was logged by epoch.
        at: the logged steps of evaluations ``[n]``.
        first: the first of them. NaN without evaluations.
        last: the last of them. NaN without evaluations.
        distance: the median distance of evaluations. NaN with fewer than two.
        ahead: what is added to a logged step, 1 if counting begins at zero. NaN if that is not known.
        per_epoch: steps of an epoch. NaN if that is not known.
        planned: whether ``per_epoch`` is the run's length over its planned epochs, too small if it ended early.
        epochs: logged steps and the epochs done by then, if no single number of steps makes an epoch.
        examples: logged steps and the examples seen by then. Empty if they were not logged.
        batch: examples of one step. NaN if that is not known.
        images: training images. NaN if that is not known.
        losses_by_step: whether the training loss was logged by step although the metric was logged by epoch.
        settled: completed and evaluated at least twice, so that it has a speed.
    """

    unit: str = UNSURE
    why: str = ""
    at: Floats = field(default_factory=lambda: np.empty(0))
    first: float = nan
    last: float = nan
    distance: float = nan
    ahead: float = nan
    per_epoch: float = nan
    planned: bool = False
    epochs: tuple[Floats, Floats] = field(default_factory=lambda: (np.empty(0), np.empty(0)))
    examples: tuple[Floats, Floats] = field(default_factory=lambda: (np.empty(0), np.empty(0)))
    batch: float = nan
    images: float = nan
    losses_by_step: bool = False
    settled: bool = False

    @property
    def one_by_one(self) -> bool:
        """Whether evaluations are numbered 0, 1, 2, … as epochs are."""
        return self.distance == 1

    def in_epochs(self, logged: Floats, *, losses: bool = False) -> Floats:
        """Return the epochs done at logged steps ``[n]``.

        The steps are of the metric, or of the losses. NaN if the epochs are not known.

        >>> Clock(unit=STEP, per_epoch=10.0).in_epochs(np.array([0.0, 10.0, 25.0]))
        array([0. , 1. , 2.5])
        """
        if self.unit == EPOCH and not (losses and self.losses_by_step):
            return logged + (0.0 if isnan(self.ahead) else self.ahead)
        if len(self.epochs[0]):
            return extended(logged, *self.epochs)
        return self._steps(logged) / self.per_epoch

    def in_steps(self, logged: Floats, *, losses: bool = False) -> Floats:
        """Return the steps done at logged steps ``[n]``.

        The logged steps are of the metric, or of the losses. NaN if the steps are not known.

        >>> Clock(unit=EPOCH, per_epoch=10.0).in_steps(np.array([0.0, 1.0, 2.0]))
        array([ 0., 10., 20.])
        """
        if self.unit == EPOCH and not (losses and self.losses_by_step):
            return self.in_epochs(logged) * self.per_epoch
        return self._steps(logged)

    def in_examples(self, logged: Floats, *, losses: bool = False) -> Floats:
        """Return the examples seen at logged steps ``[n]``.

        The steps are of the metric, or of the losses. NaN if the examples are not known.

        >>> Clock(unit=STEP, batch=64.0).in_examples(np.array([0.0, 10.0]))
        array([  0., 640.])
        """
        if len(self.examples[0]) > 1 and not (losses and self.losses_by_step):
            return extended(logged, *self.examples)
        by_batch = self.in_steps(logged, losses=losses) * self.batch
        return by_batch if np.isfinite(by_batch).all() else self.in_epochs(logged, losses=losses) * self.images

    def _steps(self, logged: Floats) -> Floats:
        """Return the steps done at logged ones.

        The logged ones may count from zero. At 0 none was done.
        """
        ahead = self.ahead if self.unit == STEP and isfinite(self.ahead) else 0.0
        done: Floats = np.where(logged > 0, logged + ahead, 0.0)
        return done


def extended(at: Floats, points: Floats, values: Floats) -> Floats:
    """Return values at places ``[m]``, from points and values ``[n]``.

    They are linear between the points, and go on at the mean pace beyond them.

    >>> extended(np.array([5.0, 30.0]), np.array([0.0, 10.0, 20.0]), np.array([0.0, 1.0, 2.0]))
    array([0.5, 3. ])
    """
    pace = (values[-1] - values[0]) / (points[-1] - points[0])
    outside = np.minimum(at - points[0], 0.0) + np.maximum(at - points[-1], 0.0)
    extended_values: Floats = np.interp(at, points, values) + pace * outside
    return extended_values


def read_clock(run: Run, metric: str) -> Clock:
    """Return how a run counts, as far as it tells.

    These tell, in this order: an ``epoch`` logged beside the steps, a training loss that goes on far beyond the
    evaluations, and the planned number of epochs among the parameters. If none does, evaluations at a distance of more
    than one are by step.
    """
    steps = curve_of(run, metric).steps.astype(np.float64)
    known = _known(run, steps)
    if not len(steps):
        return known
    readers = (_by_losses, _by_logged_epoch, _by_plan) if known.one_by_one else (_by_logged_epoch, _by_losses, _by_plan)
    for read in readers:
        clock = read(run, known)
        if clock.unit != UNSURE:
            return clock
    return replace(known, unit=STEP) if len(known.at) > 1 and not known.one_by_one else known


def batch_of(run: Run) -> float:
    """Return the examples of an optimizer step by the run's parameters.

    NaN if they do not tell.

    >>> params = {"data.batch_size": "64", "trainer.accumulate_grad_batches": "2"}
    >>> batch_of(Run("id", "name", "FINISHED", params, {}, {}))
    128.0
    """
    accumulated = _number(run.params, _ACCUMULATED)
    return _number(run.params, _BATCH) * (1.0 if isnan(accumulated) else accumulated)


def _known(run: Run, steps: Floats) -> Clock:
    seen = finite(run.histories.get(names.EXAMPLES))
    known = Clock(
        examples=(seen.steps.astype(np.float64), seen.values) if len(seen.steps) > 1 else (np.empty(0), np.empty(0)),
        batch=batch_of(run),
        images=_number(run.params, ("train_images",)),
        settled=verdict_of(run) == Verdict.COMPLETED and len(steps) > 1,
        at=steps,
    )
    if not len(steps):
        return known
    distance = float(np.median(np.diff(steps))) if len(steps) > 1 else nan
    return replace(known, first=float(steps[0]), last=float(steps[-1]), distance=distance)


def _by_losses(run: Run, known: Clock) -> Clock:
    """Read how losses were logged beside evaluations.

    The losses may be by step, and the evaluations by epoch.
    """
    losses = finite(run.histories.get(names.TRAIN_LOSS)).steps
    end = float(losses[-1]) if len(losses) else 0.0
    if len(known.at) < 2 or end < (_FURTHER if known.one_by_one else _MUCH_FURTHER) * known.last:
        return known
    read = replace(known, unit=EPOCH, why="their training loss was logged by step", losses_by_step=True)
    if not known.settled:
        return read if known.one_by_one else known
    for ahead in (0.0, 1.0) if known.first == 0 else (0.0,):
        epochs = known.last + ahead
        whole = [total for total in (end, end + 1) if total % epochs == 0]
        if whole:
            return replace(read, ahead=ahead, per_epoch=whole[0] / epochs)
    return replace(read, per_epoch=end / known.last) if known.one_by_one else known


def _by_logged_epoch(run: Run, known: Clock) -> Clock:
    """Return the clock of a logged epoch.

    It was logged at the same steps as the metric.
    """
    for name in (names.EPOCHS, LOGGED_EPOCH):
        points = finite(run.histories.get(name))
        at, epochs = points.steps.astype(np.float64), points.values
        if len(at) < 2 or epochs[-1] <= epochs[0] or not _beside(known, at):
            continue
        size = _epoch_size(at, epochs)
        if abs(size - 1) < 1e-3:
            shift = round(float(epochs[-1] - at[-1]))
            return replace(known, unit=EPOCH, why=f"their metric {name} says so", ahead=1.0 if shift == 1 else nan)
        read = replace(known, unit=STEP, per_epoch=size)
        if np.all(np.abs(epochs - at / size) < 0.02):
            return replace(read, ahead=0.0)
        if not np.all(epochs == np.round(epochs)):
            return replace(read, epochs=(at, epochs))
        # Whole numbers count from zero: the epoch that was going on.
        return replace(read, ahead=1.0 if (known.last + 1) % size == 0 else 0.0)
    return known


def _beside(known: Clock, at: Floats) -> bool:
    """Return True if logged steps ``[n]`` count as evaluations do.

    Then what was logged at them tells of the evaluations. They do not count so if they go on far beyond them. Then it
    was logged by step, and the evaluations by epoch.
    """
    beyond = at[-1] > _MUCH_FURTHER * known.last and known.settled
    same_range = not known.one_by_one and known.last <= at[-1] + 1
    return not beyond and (same_range or bool(np.isin(known.at, at).all()))


def _epoch_size(at: Floats, epochs: Floats) -> float:
    """Return how many steps an epoch has.

    It is told by steps ``[n]`` and the epoch ``[n]`` of each, fractional or whole.
    """
    slope = float((at[-1] - at[0]) / (epochs[-1] - epochs[0]))
    if not np.all(epochs == np.round(epochs)):
        return slope
    ends = np.append(np.diff(epochs) > 0, True)
    sizes = np.diff(at[ends]) / np.diff(epochs[ends])
    if len(sizes) and np.all(sizes == sizes[0]):
        return float(sizes[0])
    # Step s of epoch e says that e · size ≤ s < (e + 1) · size.
    least = float(np.floor(np.max(at / (epochs + 1)))) + 1
    return least if np.all(epochs * least <= at) else slope


def _by_plan(run: Run, known: Clock) -> Clock:
    """Read the planned number of epochs."""
    planned, name = _number(run.params, _PLANNED), _name(run.params, _PLANNED)
    if not planned >= 1 or len(known.at) < 2:
        return known
    ended = {planned: 0.0, planned - 1: 1.0 if known.distance > 1 or known.first == 0 else nan}
    if (known.one_by_one and known.last <= planned) or (known.settled and known.last in ended):
        ahead = ended.get(known.last, nan) if known.settled else nan
        return replace(known, unit=EPOCH, why=f"their parameter {name} is {planned:.0f}", ahead=ahead)
    for ahead in (0.0, 1.0):
        size = (known.last + ahead) / planned
        fits = size % known.distance == 0 or known.distance % size == 0
        if known.settled and not known.one_by_one and size == round(size) and fits:
            return replace(known, unit=STEP, per_epoch=size, planned=True, ahead=ahead)
    return known


def _number(params: Mapping[str, str], ends: tuple[str, ...]) -> float:
    """Return the positive number that a parameter has, or NaN.

    The parameter is the first that has one of these names, which count in their order.
    """
    try:
        value = float(params.get(_name(params, ends), ""))
    except ValueError:
        return nan
    return value if isfinite(value) and value > 0 else nan


def _name(params: Mapping[str, str], ends: tuple[str, ...]) -> str:
    """Return the parameter whose name ends so, or an empty text.

    The section of its name does not matter.
    """
    fitting = [name for name in params if _end(name) in ends]
    return min(fitting, key=lambda name: (ends.index(_end(name)), name.count("."), name), default="")


def _end(name: str) -> str:
    return name.replace("/", ".").rpartition(".")[2].lower()
