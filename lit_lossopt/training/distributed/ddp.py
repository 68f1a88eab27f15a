"""The Trainer of one of several processes.

It uses DistributedDataParallel. Signals and records are our own.
"""

from __future__ import annotations

import os
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy

from lit_lossopt.core import quiet
from lit_lossopt.core.errors import UserError
from lit_lossopt.training.distributed.launcher import started_here
from lit_lossopt.training.loop_state import wait_for_no_signal

_PLAIN = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")


class Distribution:
    """Trains on several devices where there are several.

    On one it changes nothing.

    Args:
        given: the Trainer's settings.
        frozen: whether part of the network is still at first, and so has no gradient to be averaged.
    """

    def __init__(self, given: Any, *, frozen: bool) -> None:
        self.given = given
        self.frozen = frozen
        self.started = started_here() or torch.distributed.is_torchelastic_launched()

    def trainer_arguments(self, logger: Any) -> dict[str, Any]:
        """Return the arguments that replace those given.

        Raises:
            UserError: another strategy was asked for.
        """
        if not self.started:
            return {"logger": logger}
        environment = LightningEnvironment() if started_here() else None
        strategy = self.given.get("strategy") or "auto"
        if not isinstance(strategy, DDPStrategy):
            if strategy not in _PLAIN:
                raise UserError(f"trainer.strategy={strategy}: several devices train by ddp here; leave it out")
            unused = self.frozen or strategy == "ddp_find_unused_parameters_true"
            accelerator = self.given.get("accelerator") or "auto"
            on_gpus = torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda")
            # On GPUs gradients go by NCCL; what the processes agree on lies on the host and goes by gloo.
            backend = "cpu:gloo,cuda:nccl" if on_gpus else "gloo"
            strategy = DDPStrategy(find_unused_parameters=unused, process_group_backend=backend)
        plugins = self.given.get("plugins") or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        return {
            "strategy": strategy,
            "plugins": [*plugins, *([environment] if environment else [])],
            # Only the first keeps records.
            "logger": logger if int(os.environ.get("LOCAL_RANK" if environment else "RANK", "0")) == 0 else False,
        }

    def join(self, trainer: pl.Trainer) -> None:
        """Meet the other processes.

        From here on they can agree.

        Raises:
            UserError: nobody has started them.
        """
        if trainer.world_size == 1:
            return
        if not self.started:
            raise UserError(
                f"trainer.devices={trainer.world_size}: several devices need one process each; start them with the "
                "command lossopt or with torchrun, or take 1 device"
            )
        quiet.ignore_warnings("It is recommended to use `self.log")
        quiet.quiet_loggers(["lightning.fabric.utilities.distributed"])
        trainer.strategy.setup_environment()
        wait_for_no_signal(trainer)
