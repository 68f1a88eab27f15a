"""The command line of a training in TensorFlow."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.cli import LightningArgumentParser

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.keras_twin.framework import start_tensorflow
from lit_lossopt.keras_twin.gradient_norm import GradientNorm
from lit_lossopt.keras_twin.module import TwinModule
from lit_lossopt.keras_twin.settings import TwinSettings
from lit_lossopt.training.callbacks.diagnostics import Diagnostics
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.cli import LossOptCLI

# As they are typed, and as YAML reads them.
_DEFAULT, _OFF = ("default", True), ("off", False)


class TwinCLI(LossOptCLI):
    """``fit`` with TensorFlow's steps."""

    module_class = TwinModule

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the twin's own settings."""
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(TwinSettings, "twin")

    def before_instantiate_classes(self) -> None:
        """Start TensorFlow with as many threads as torch has."""
        precision = self._get(self.config, "fp32_precision")
        if precision:
            raise UserError(
                f"twin: fp32_precision={precision}: it is torch's, and TensorFlow makes the steps here; leave it out"
            )
        super().before_instantiate_classes()
        trainer = self.config[self.command]["trainer"]
        if trainer["accelerator"] not in ("auto", "cpu"):
            raise UserError(
                f"twin: trainer.accelerator={trainer['accelerator']}: TensorFlow finds its devices itself; leave it out"
            )
        if self._get(self.config, "compile"):
            raise UserError("twin: compile: it compiles torch's step, and TensorFlow compiles its own; leave it out")
        trainer["accelerator"] = CPUAccelerator.name()
        start_tensorflow(torch.get_num_threads())

    def _callbacks(self, given: Any, *, bar: bool) -> list[pl.Callback]:
        asked = self._get(self.config_init, "diagnostics")
        if asked not in (*_DEFAULT, *_OFF):
            raise UserError(
                f"twin: diagnostics={asked}: they look into torch's training; leave it out, and the twin logs "
                f"{names.GRAD_NORM}"
            )
        # Torch's diagnostics find no gradients of torch here.
        callbacks = [one for one in super()._callbacks(given, bar=bar) if not isinstance(one, Diagnostics)]
        values = next(one for one in callbacks if isinstance(one, StepValues))
        place = callbacks.index(values) + 1
        own = [GradientNorm(values)] if asked in _DEFAULT else []
        # Behind what copies values, in front of what saves.
        return [*callbacks[:place], *own, *callbacks[place:]]

    def after_instantiate_classes(self) -> None:
        """Refuse what has no counterpart in Keras, before anything else is tried."""
        assert isinstance(self.model, TwinModule)
        soft = self.datamodule.mixing is not None
        self.model.follow(self._get(self.config_init, "twin"), self.trainer, soft=soft)
        super().after_instantiate_classes()
