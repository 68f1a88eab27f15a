"""How a run ended.

It is said to the run's loggers while they can still be reached.
"""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.recording import Recorder
from lit_lossopt.training.callbacks.health_watch import DivergedError
from lit_lossopt.training.distributed.collectives import lost_another


class RunVerdict(pl.Callback):
    """Tells an interruption from a failure.

    Ctrl-C, SIGTERM and the end of another rank are interruptions. They are missing data.
    """

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse to call a run completed that took no step.

        Some callback has then kept training from it.

        Raises:
            UserError: it has.
        """
        if not trainer.global_step:
            raise UserError(
                "nothing was trained, because training ended before its first step; look at trainer.callbacks and "
                "trainer.max_time"
            )

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Set the verdict.

        A run that diverged has set its own.
        """
        if isinstance(exception, DivergedError):
            return
        stopped = isinstance(exception, KeyboardInterrupt | SIGTERMException) or lost_another(exception)
        for logger in trainer.loggers:
            if isinstance(logger, Recorder):
                logger.set_verdict(names.Verdict.INTERRUPTED if stopped else names.Verdict.FAILED)
