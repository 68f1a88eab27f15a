"""The callbacks of every training, in their order.

A new callback of this package is one row of ``CALLBACKS``, and its own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl

from lit_lossopt.diagnostics.request import Request
from lit_lossopt.training.callbacks.checkpoints import RunCheckpoints
from lit_lossopt.training.callbacks.compile_step import Compile, CompiledStep
from lit_lossopt.training.callbacks.console import EvaluationLines, ProgressBar
from lit_lossopt.training.callbacks.data_line import DataLine
from lit_lossopt.training.callbacks.diagnostics import FIXED_IMAGES, Diagnostics
from lit_lossopt.training.callbacks.epoch_settings import EpochSettings
from lit_lossopt.training.callbacks.final_evaluation import FinalEvaluation
from lit_lossopt.training.callbacks.health_watch import HealthWatch
from lit_lossopt.training.callbacks.optimizer_phases import OptimizerPhases
from lit_lossopt.training.callbacks.pictures import AugmentationPicture, ConfusionPicture
from lit_lossopt.training.callbacks.plateau import PlateauSchedule
from lit_lossopt.training.callbacks.probe_loss import ProbeLoss
from lit_lossopt.training.callbacks.signals import SignalStop
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.callbacks.training_clock import TrainingClock
from lit_lossopt.training.callbacks.verdict import RunVerdict


@dataclass(frozen=True)
class Parts:
    """What several callbacks share, and what decides which of them are there.

    Attributes:
        probe: measures the probe loss.
        checkpoints: saves states; None where nothing is kept.
        health: watches for divergence and collapse.
        step_values: keeps the losses of steps.
        signals: ends training at a signal.
        request: diagnostics that are asked for; empty: none.
        compile: how the step is compiled; False: not at all.
        shows_bar: whether there is a progress bar of this package.
    """

    probe: ProbeLoss
    checkpoints: RunCheckpoints | None
    health: HealthWatch
    step_values: StepValues
    signals: SignalStop
    request: Request
    compile: Compile
    shows_bar: bool


def _diagnostics(parts: Parts) -> Diagnostics:
    return Diagnostics(parts.request, parts.step_values, parts.health, parts.probe.images or FIXED_IMAGES)


CALLBACKS: tuple[Callable[[Parts], pl.Callback | None], ...] = (
    lambda _: DataLine(),
    lambda _: FinalEvaluation(),
    lambda _: EpochSettings(),
    lambda parts: CompiledStep(parts.compile) if parts.compile else None,
    lambda _: OptimizerPhases(),
    lambda parts: parts.probe,
    lambda parts: parts.step_values,
    lambda parts: TrainingClock(parts.step_values),
    lambda _: EvaluationLines(),
    lambda _: PlateauSchedule(),
    lambda _: ConfusionPicture(),
    lambda _: AugmentationPicture(),
    lambda parts: parts.health,
    # Behind what copies values, and behind what decides the verdict.
    lambda parts: _diagnostics(parts) if parts.request else None,
    lambda _: RunVerdict(),
    lambda parts: ProgressBar() if parts.shows_bar else None,
    lambda parts: parts.signals,
    # Last: a checkpoint holds what all others have done.
    lambda parts: parts.checkpoints,
)


def parts_of(
    checkpoints: RunCheckpoints,
    probe: ProbeLoss,
    request: Request,
    trainer: Mapping[str, Any],
    compile: Compile = False,  # noqa: A002  # as it is typed
    *,
    trains: bool,
    bar: bool,
) -> Parts:
    """Return the parts that callbacks share, joined to each other.

    Args:
        checkpoints: as configured.
        probe: as configured.
        request: diagnostics that are asked for.
        trainer: the Trainer's settings.
        compile: how the step is compiled; False: not at all.
        trains: whether the command is ``fit``.
        bar: whether nobody else shows a bar.
    """
    health = HealthWatch()
    step_values = StepValues(health.look)
    checkpoints.join(step_values)
    probe.join(step_values)
    keeps = trains and trainer.get("enable_checkpointing") is not False and not trainer.get("fast_dev_run")
    return Parts(
        probe=probe,
        checkpoints=checkpoints if keeps else None,
        health=health,
        step_values=step_values,
        signals=SignalStop(checkpoints.save_before_stopping if keeps else None, step_values.flush),
        request=request if trains else {},
        compile=compile if trains else False,
        shows_bar=bar and trainer.get("enable_progress_bar") is not False,
    )


def callbacks_of(parts: Parts) -> list[pl.Callback]:
    """Return the callbacks that these parts ask for."""
    return [callback for make in CALLBACKS if (callback := make(parts)) is not None]
