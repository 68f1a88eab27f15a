"""Whether a run diverges or collapses.

It looks where values are copied from the device anyway.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.diagnostics.health import AccuracyTrack, LossTrack, never_learned, predicts_one_class
from lit_lossopt.tracking.recording import Recorder
from lit_lossopt.training.callbacks.checkpoint_folders import run_of
from lit_lossopt.training.callbacks.checkpoints import RunCheckpoints
from lit_lossopt.training.callbacks.pictures import HasConfusion
from lit_lossopt.training.checkpoint_file import write_checkpoint
from lit_lossopt.training.distributed import collectives as ranks

LAST_GOOD = "last_good.ckpt"
# What may not be finite, the worst last.
_BROKEN = ("", "a gradient", "a weight")


class DivergedError(Exception):
    """Training was stopped because it diverged."""


class HealthWatch(pl.Callback):
    """Stops a run that diverges, and marks one that collapses.

    Diverged: a loss, gradient or weight that is not finite, or losses that have exploded. The weights of the last look
    that found nothing wrong are kept as ``last_good.ckpt``. Collapsed: one class only at two evaluations in a row after
    a fifth of the budget and until the end, or a loss that never fell while the accuracy never rose. A run that
    recovers was slow.

    Attributes:
        verdict: of the run, as far as it is known.
    """

    def __init__(self) -> None:
        self.verdict = Verdict.COMPLETED
        self._track, self._accuracy = LossTrack(), AccuracyTrack()
        # Whether labels are shares of classes, so that the loss has a floor.
        self._mixed = False
        self._good: dict[str, Tensor] = {}
        self._good_step = 0
        self._one_class: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on with."""
        accuracy = self._accuracy.state_dict()
        return {
            "track": self._track.state_dict(), "accuracy": accuracy, "mixed": self._mixed, "one_class": self._one_class
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._track.load_state_dict(state_dict["track"])
        # Checkpoints from before have none.
        self._accuracy.load_state_dict(state_dict.get("accuracy", {}))
        self._mixed = state_dict.get("mixed", False)
        self._one_class = list(state_dict["one_class"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights that training begins with."""
        self._keep(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember whether images are mixed."""
        self._mixed = self._mixed or batch[1].ndim > 1

    def look(self, trainer: pl.Trainer, module: pl.LightningModule, steps: Sequence[int], losses: list[float]) -> None:
        """Look at the steps that were just copied.

        Raises:
            DivergedError: the run has diverged.
        """
        self._track.add(losses)
        bad = next((step for step, loss in zip(steps, losses, strict=True) if not math.isfinite(loss)), None)
        if bad is not None:
            evidence = f"the loss was not finite at step {bad}; step {bad - 1} was the last finite one"
            self._stop(trainer, module, evidence, bad - 1)
        # A scaler of half precision skips the steps whose gradients are not finite.
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        # Of one rank is enough: while gradients are half accumulated, each has its own.
        broken = _BROKEN[ranks.highest(_not_finite(module, gradients=not scaled))]
        if broken:
            self._stop(trainer, module, f"{broken} was not finite by step {steps[-1]}", self._good_step)
        exploded = self._track.has_exploded()
        if exploded:
            self._stop(trainer, module, exploded, self._good_step)
        self._keep(trainer, module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the evaluation."""
        if not isinstance(pl_module, HasConfusion):
            return
        confusion = pl_module.confusion[names.VAL].numpy()
        self._accuracy.add(confusion)
        if trainer.sanity_checking:
            return
        budget = _budget(trainer)
        if budget and trainer.global_step >= budget / 5:
            evidence = predicts_one_class(confusion)
            self._one_class = [*self._one_class, evidence] if evidence else []

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say if the run has collapsed.

        It does so also where a run is resumed at its end and does not train.
        """
        # Of mixed labels the loss alone says nothing.
        better = self._accuracy.has_risen() or (self._mixed and self._accuracy.first is None)
        stuck = never_learned(self._track, _budget(trainer), better=better)
        evidence = self._one_class[-1] if len(self._one_class) > 1 else stuck
        if evidence:
            tell(f"collapsed: {evidence}", sys.stdout)
            self._set_verdict(trainer, Verdict.COLLAPSED, evidence)

    def _keep(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._good = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self._good_step = trainer.global_step

    def _stop(self, trainer: pl.Trainer, module: pl.LightningModule, evidence: str, last_good: int) -> None:
        self._set_verdict(trainer, Verdict.DIVERGED, evidence, last_good)
        kept = self._save_good(trainer, module)
        if kept:
            evidence += f"; {kept}"
            self._set_verdict(trainer, Verdict.DIVERGED, evidence, last_good)
        raise DivergedError(evidence)

    def _set_verdict(self, trainer: pl.Trainer, verdict: Verdict, evidence: str, last_good: int | None = None) -> None:
        self.verdict = verdict
        for logger in trainer.loggers:
            if isinstance(logger, Recorder):
                logger.set_verdict(verdict, evidence, last_good)

    def _save_good(self, trainer: pl.Trainer, module: pl.LightningModule) -> str:
        """Save the weights of the last look that found nothing wrong.

        Return where they are, or why not.
        """
        # A person's own may stand before ours.
        folder = next((one.dirpath for one in trainer.checkpoint_callbacks if isinstance(one, RunCheckpoints)), None)
        if not folder or not trainer.is_global_zero:
            return ""
        module.load_state_dict(self._good)
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=True)  # noqa: SLF001  # to say whose
        checkpoint |= {"global_step": self._good_step, names.RUN_KEY: run_of(trainer)}
        try:
            write_checkpoint(checkpoint, Path(folder) / LAST_GOOD, keep_previous=False)
        except OSError as error:
            return f"the weights of step {self._good_step} could not be kept ({error.strerror})"
        return f"weights of step {self._good_step} are in {names.CHECKPOINT_FOLDER}/{LAST_GOOD}"


def _not_finite(module: pl.LightningModule, *, gradients: bool) -> int:
    """Return which of ``_BROKEN`` is not finite, or 0.

    It takes one copy from the device.
    """
    groups = {
        _BROKEN.index("a weight"): [parameter.detach() for parameter in module.parameters()],
        _BROKEN.index("a gradient"): [p.grad for p in module.parameters() if gradients and p.grad is not None],
    }
    present = {which: tensors for which, tensors in groups.items() if tensors}
    norms = [torch.nn.utils.get_total_norm(tensors, norm_type=math.inf) for tensors in present.values()]
    finite = torch.isfinite(torch.stack(norms)).tolist()
    return max((which for which, fine in zip(present, finite, strict=True) if not fine), default=0)


def _budget(trainer: pl.Trainer) -> int:
    """Return how many steps the run may take.

    It is 0 if nothing limits them.
    """
    steps = trainer.estimated_stepping_batches
    return int(steps) if math.isfinite(steps) else 0
