"""The command ``lossopt bench``. It tells a person the fastest safe setting of their machine."""

from __future__ import annotations

import os
import sys
from functools import partial

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.machine import cores
from lit_lossopt.core.names import Exit
from lit_lossopt.core.numbers import counted
from lit_lossopt.core.output import write_all
from lit_lossopt.core.terminal_text import is_bare_terminal, tell
from lit_lossopt.training.callbacks.compile_step import CompiledStep
from lit_lossopt.training.cli import LossOptCLI, build
from lit_lossopt.training.speed.measure import Measured, candidates, has_units, measured
from lit_lossopt.training.speed.processes import MOST, CannotError, Together, measured_together
from lit_lossopt.training.speed.report import Findings, as_json, lines, machine_line
from lit_lossopt.training.speed.request import COMMAND, SECONDS_FOR_PROCESSES, Request
from lit_lossopt.training.speed.steps import TrainingSteps
from lit_lossopt.training.surroundings import one_at_a_time

# The share of the time in which several trainings at once are measured.
_FOR_SEVERAL = 0.25


def bench(request: Request) -> int:
    """Measure, show what was found, and write it. Return the exit status.

    Raises:
        UserError: something that a person typed or provided cannot be used, or the time is too short.
    """
    load = os.getloadavg()[0]
    with one_at_a_time():
        findings = _findings(request, load)
    for line in lines(findings):
        tell(line, sys.stdout)
    write_all(COMMAND, [(request.numbers, partial(as_json, findings))])
    return Exit.DONE


def _findings(request: Request, load: float) -> Findings:
    cli = build(request.prepared, LossOptCLI)
    try:
        _check_not_compiled(cli)
        # Not before: what is built may only be looked at, as with --print_config.
        tell(machine_line(), sys.stdout)
        training = TrainingSteps(cli.model, cli.trainer, cli.datamodule)
        chosen = candidates(training, cli.trainer)
        why_not = _why_not(training, request.seconds)
        seconds = request.seconds * (1 if why_not else 1 - _FOR_SEVERAL)
        _say(f"measuring {counted(len(chosen), 'setting')}")
        found: Measured = measured(training, chosen, seconds, request.seconds)
        together, why_not = (None, why_not) if why_not else _together(request, training)
        return Findings(request.words, _described(cli), found, has_units(training.device), together, why_not, load)
    finally:
        cli.borrowed.close()


def _check_not_compiled(cli: LossOptCLI) -> None:
    """Refuse a compiled step, because the steps that are measured would be others."""
    if any(isinstance(one, CompiledStep) for one in cli.trainer.callbacks):  # type: ignore[attr-defined]  # it is there
        raise UserError(f"{COMMAND}: --compile: only steps that are not compiled are measured; leave it out")


def _why_not(training: TrainingSteps, seconds: float) -> str:
    """Return why several trainings at once are not measured, or nothing."""
    if training.device.type != "cpu":
        return "because trainings at once on a GPU share it in other ways."
    if cores() < 2:
        return "because one core has no room for several trainings."
    if seconds < SECONDS_FOR_PROCESSES:
        return f"because it takes at least --seconds {SECONDS_FOR_PROCESSES:g}."
    return ""


def _together(request: Request, training: TrainingSteps) -> tuple[Together | None, str]:
    """Return what several trainings at once make, or why it is not known."""
    count = min(cores(), MOST)
    _say(f"starting {counted(count, 'process').removesuffix('s')}es")
    try:
        return measured_together(request.words, training, count, _FOR_SEVERAL * request.seconds), ""
    except CannotError as error:
        return None, f"because a training beside this one failed: {error}"


def _described(cli: LossOptCLI) -> str:
    module, trainer = cli.model, cli.trainer
    parts = (module.network, module.criterion, module.new_optimizer())
    names = ", ".join(type(part).__name__ for part in parts)
    images = cli.datamodule.batch_size * trainer.accumulate_grad_batches
    return f"{names}, {images} images a step, precision {trainer.precision}, {trainer.strategy.root_device.type}"


def _say(what: str) -> None:
    if is_bare_terminal(sys.stderr):
        tell(what, sys.stderr)
