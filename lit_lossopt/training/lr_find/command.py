"""The command ``lossopt lr-find``.

It is a range test of a training's learning rate, and the rate that it suggests.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch

from lit_lossopt.config.words import Prepared, without_flags
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.program import typed
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.recording import Recorder
from lit_lossopt.training.callbacks.data_line import DataLine
from lit_lossopt.training.callbacks.optimizer_phases import OptimizerPhases
from lit_lossopt.training.callbacks.signals import SignalStop
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.callbacks.verdict import RunVerdict
from lit_lossopt.training.cli import LossOptCLI, build
from lit_lossopt.training.lr_find.callback import RangeSweep
from lit_lossopt.training.lr_find.curve import RangeTest, geometric
from lit_lossopt.training.lr_find.request import COMMAND, Request

NO_SUGGESTION = 1
_NOT_TESTED = {
    torch.optim.LBFGS: "it looks at each batch several times, and its rate scales a step that it has found itself",
    torch.optim.Rprop: "its lr is the size of the first step only, and later ones find their own",
}


class RangeTestCLI(LossOptCLI):
    """The classes and the trainer of a range test.

    Args:
        prepared: settings.
        sweep: raises the rate.
    """

    def __init__(self, prepared: Prepared, sweep: RangeSweep) -> None:
        self.sweep = sweep
        super().__init__(prepared, record=names.TAG_RANGE_TEST)

    def _callbacks(self, given: object, *, bar: bool) -> list[pl.Callback]:
        """Return what a range test needs.

        It evaluates and keeps nothing, and diverges on purpose.

        Raises:
            UserError: the step is to be compiled, which would be another step than the one that is tested.
        """
        if self._get(self.config_init, "compile"):
            raise UserError(f"{COMMAND}: compile: the range test makes plain steps; leave it out")
        self.signals = SignalStop()
        said = [_Said(self.sweep), RunVerdict(), self.signals]
        return [DataLine(), OptimizerPhases(), self.sweep, StepValues(self.sweep.look), *said]

    def after_instantiate_classes(self) -> None:
        """Try what can be tried before a run exists."""
        super().after_instantiate_classes()
        optimizer = self.model.new_optimizer()
        name = type(optimizer).__name__
        reason = next((why for kind, why in _NOT_TESTED.items() if isinstance(optimizer, kind)), None)
        if reason:
            raise UserError(
                f"{COMMAND}: {name} cannot be tested over a range of rates: {reason}; compare rates with lossopt fit"
            )
        if not float(optimizer.defaults.get("lr") or 0) > 0:
            raise UserError(f"{COMMAND}: {name} has no learning rate to scale; set model.optimizer.lr above 0")
        self.sweep.call_after(optimizer, self.model.criterion)


class _Said(pl.Callback):
    """Puts the answer into the run's description."""

    def __init__(self, sweep: RangeSweep) -> None:
        self.sweep = sweep

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.sweep.found is None:
            return
        for logger in trainer.loggers:
            if isinstance(logger, Recorder):
                logger.set_verdict(Verdict.COMPLETED, "; ".join(answer(self.sweep.found)))


def find_rate(request: Request) -> int:
    """Run a range test and say what it suggests.

    Return 0, or 1 where the curve gives no suggestion.

    Raises:
        UserError: something that a person typed or provided cannot be used.
    """
    sweep = RangeSweep(geometric(request.lowest, request.highest, request.steps))
    cli = build(request.prepared, lambda prepared: RangeTestCLI(prepared, sweep))
    print(f"range test: {request.steps} steps from {request.lowest:g} to {request.highest:g}", flush=True)
    status = cli.run()
    if status or sweep.found is None:
        return status
    if request.png:
        _write(given_path(request.png), sweep.picture)
    for line in answer(sweep.found):
        tell(f"{sweep.title}: {line}", sys.stdout)
    if sweep.found.suggestion is None:
        return NO_SUGGESTION
    print(command(request.words, scaled_rates(cli.model.new_optimizer(), sweep.found.suggestion)))
    return 0


def answer(range_test: RangeTest) -> list[str]:
    """Return what a range test says, one thought a line."""
    end = (
        f"diverges from {range_test.diverges:.2g}"
        if range_test.diverges is not None
        else "does not diverge in this range"
    )
    if range_test.suggestion is None:
        return [f"no suggestion: {range_test.problem}", *([f"the loss {end}"] if range_test.begins is not None else [])]
    falls = f"the loss falls between {range_test.begins:.2g} and {range_test.lowest:.2g}"
    return [f"suggested learning rate {range_test.suggestion:.2g} (steepest descent; {falls}, {end})"]


def scaled_rates(optimizer: torch.optim.Optimizer, rate: float) -> dict[str, float]:
    """Return ``lr`` and the other rates, scaled alike.

    Some other argument may be a rate of a parameter group.
    """
    made_with = {float(group["lr"]) / group.get("lr_factor", 1.0) for group in optimizer.param_groups}
    rates = {
        name: float(value)
        for name, value in optimizer.defaults.items()
        if name == "lr" or (name.endswith("_lr") and value in made_with)
    }
    return {name: value * rate / rates["lr"] for name, value in rates.items()}


def command(words: Sequence[str], rates: dict[str, float]) -> str:
    """Return the training at these rates, as a person types it."""
    keys = {f"model.optimizer.{name}": rate for name, rate in rates.items()}
    kept = without_flags(words, list(keys))
    return typed(["fit", *kept, *(f"--{key}={rate:.2g}" for key, rate in keys.items())])


def _write(path: Path, picture: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    except OSError as error:
        raise UserError(f"--png {path}: cannot be written ({error.strerror}); the run keeps the picture") from error
