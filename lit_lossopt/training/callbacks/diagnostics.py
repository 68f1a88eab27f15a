"""Diagnostics of a training, measured beside it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_lossopt.core import names
from lit_lossopt.core.errors import described
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.diagnostics.findings import CRITERION, Facts, findings
from lit_lossopt.diagnostics.gradient_flow import norm
from lit_lossopt.diagnostics.layers import layers_of
from lit_lossopt.diagnostics.looking import settled_time
from lit_lossopt.diagnostics.quantities import ANEW, MEASURES
from lit_lossopt.diagnostics.request import Request
from lit_lossopt.diagnostics.schedule import plan
from lit_lossopt.diagnostics.step_geometry import cosine
from lit_lossopt.diagnostics.step_view import StepView
from lit_lossopt.diagnostics.trajectory import encoded
from lit_lossopt.tracking.recording import Recorder
from lit_lossopt.training.callbacks.health_watch import DivergedError, HealthWatch
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.distributed import collectives as ranks
from lit_lossopt.training.loop_state import batch_number
from lit_lossopt.training.second_look import Batch, HasBatchLoss, SecondLook
from lit_lossopt.training.step_output import TrainingOutput
from lit_lossopt.training.training_length import planned_length

# Images whose loss has its curvature measured, where there is no probe loss to share them with.
FIXED_IMAGES = 256
# MLflow takes 8,000.
_TAG_LENGTH = 7500
# What findings are made from.
_HEARD = (f"{names.FLOW}/", "step/", "sharpness/", names.PROBE_LOSS)


class Diagnostics(pl.Callback):
    """Measures why a training behaves as it does, and says at its end what was found.

    It changes nothing in training: no weight, no gradient, no running statistic, no random number. What a step does is
    logged at that step's number. Where several devices train, only what needs no further pass is measured, by the
    first of them. It stands behind StepValues, which copies what it measures.

    Args:
        request: quantity → when it is measured.
        step_values: takes the values.
        health: knows how the run ends.
        images: of the fixed set whose loss has its curvature measured.
    """

    def __init__(
        self, request: Request, step_values: StepValues, health: HealthWatch, images: int = FIXED_IMAGES
    ) -> None:
        self.request = request
        self.images = images
        self.step_values = step_values
        self.health = health
        step_values.listeners.append(self._hear)
        self._histories: dict[str, tuple[list[int], list[float]]] = {}
        self._due: dict[str, Callable[[int], bool]] = {}
        self._measured: list[str] = []
        self._parameters: list[nn.Parameter] = []
        # Whether this batch ends a step; others only add to its gradients.
        self._stepping = False
        self._before: list[Tensor] = []
        self._gradients: list[Tensor | None] = []
        self._batches: list[tuple[Batch, int]] = []
        self._losses: list[Tensor] = []
        # The update of the step before, for the angle between two.
        self._update: list[Tensor] = []
        self._update_step = -1
        # The weights that the run began with, where snapshots are taken: these say how far each has moved.
        self._start: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return what was measured, and what the next measurements are compared with."""
        histories = {name: (list(steps), list(values)) for name, (steps, values) in self._histories.items()}
        return {
            "histories": histories,
            "update": self._update,
            "update_step": self._update_step,
            "start": self._start,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._histories = {
            name: (list(steps), list(values)) for name, (steps, values) in state_dict["histories"].items()
        }
        self._update, self._update_step = list(state_dict["update"]), state_dict["update_step"]
        self._start = dict(state_dict.get("start", {}))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Plan what is measured when."""
        if not isinstance(pl_module, HasBatchLoss):
            self._due = {}
            return
        if pl_module.begins_run:
            self._histories, self._update, self._update_step, self._start = {}, [], -1, {}
        self._plan(trainer, pl_module)
        self._update = [tensor.to(pl_module.device) for tensor in self._update]
        self._batches, self._losses, self._stepping = [], [], False
        # Once: to walk through all modules takes longer than the norm.
        self._parameters = list(pl_module.parameters())
        if "trajectory" in self._due and (pl_module.begins_run or trainer.global_step == 0):
            with self._paused(pl_module.device):
                self._keep_weights(trainer, pl_module, trainer.global_step)
                self._start = _on_cpu(pl_module.network)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note what the coming step is looked at for."""
        step = trainer.global_step + 1
        self._measured = [name for name in MEASURES if name in self._due and self._due[name](step)]

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Keep what the step will change.

        Optimizers such as LBFGS come here several times in a step, and the first counts.
        """
        step = trainer.global_step + 1
        if not self._due or self._stepping:
            return
        self._stepping = True
        if "norm" in self._due and self._due["norm"](step):
            gradients = [p.grad for p in self._parameters if p.grad is not None]
            if gradients:
                self.step_values.add(names.GRAD_NORM, norm(gradients), step)
        if self._measured or self._compares(step) or self._is_compared(step):
            with self._paused(pl_module.device):
                self._keep_before(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure behind a step that was to be measured."""
        if self._measured:
            output: TrainingOutput = outputs
            self._losses.append(output["loss_before"])
            self._batches.append((batch, batch_number(trainer)))
        if not self._stepping:
            return
        step, self._stepping = trainer.global_step, False
        if self._before:
            with self._paused(pl_module.device):
                self._measure(trainer, pl_module, step)
        self._before, self._gradients, self._batches, self._losses = [], [], [], []
        if "trajectory" in self._due and self._due["trajectory"](step):
            with self._paused(pl_module.device):
                self._keep_weights(trainer, pl_module, step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what was found."""
        self._conclude(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Say what was found where the run has diverged.

        A run that was stopped goes on later.
        """
        if isinstance(exception, DivergedError):
            self._conclude(trainer, pl_module)

    def _plan(self, trainer: pl.Trainer, module: HasBatchLoss) -> None:
        """Decide what is measured when, and tell the loggers of which layers."""
        wanted = self.request if trainer.is_global_zero and trainer.loggers else {}
        if ranks.several():
            wanted = {name: moments for name, moments in wanted.items() if name not in ANEW}
        for logger in trainer.loggers if wanted else ():
            if isinstance(logger, Recorder):
                logger.log_tags({names.TAG_LAYERS: _as_tag(_layers(module))})
        planned = planned_length(trainer, trainer.num_training_batches).steps
        self._due = {name: plan(moments, planned) for name, moments in wanted.items()}

    @contextmanager
    def _paused(self, device: torch.device) -> Iterator[None]:
        """Take the time meanwhile for none of training."""
        started = settled_time(device)
        yield
        self.step_values.paused_seconds += settled_time(device) - started

    def _hear(self, name: str, step: int, value: float) -> None:
        if name.startswith(_HEARD):
            steps, values = self._histories.setdefault(name, ([], []))
            # A run that goes on may measure a step again.
            if not steps or step > steps[-1]:
                steps.append(step)
                values.append(value)

    def _keep_before(self, module: pl.LightningModule) -> None:
        assert isinstance(module, HasBatchLoss)
        parameters = _parameters(module)
        self._before = [parameter.detach().clone() for parameter in parameters]
        self._gradients = [None if p.grad is None else p.grad.detach().clone() for p in parameters]

    def _compares(self, step: int) -> bool:
        """Return whether the angle to the update of the step before is measured."""
        return "cosine" in self._due and self._update_step == step - 1 and bool(self._update)

    def _is_compared(self, step: int) -> bool:
        """Return whether the angle to the update of the next step is measured."""
        return "cosine" in self._due and self._due["cosine"](step)

    def _measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        view = self._view(trainer, module)
        for name in self._measured:
            try:
                for metric, value in MEASURES[name](view):
                    self.step_values.add(metric, torch.as_tensor(value, device=module.device), step)
            except Exception as error:  # noqa: BLE001  # whatever a network raises, training goes on without it
                reason = f"the diagnostic {name} cannot be measured here and is left out ({described(error)})"
                tell(f"lossopt: {reason}", sys.stderr)
                del self._due[name]
        if self._compares(step):
            self.step_values.add(names.COSINE, cosine(view.update, self._update), step)
        self._update, self._update_step = (view.update, step) if self._is_compared(step) else ([], -1)

    def _view(self, trainer: pl.Trainer, module: pl.LightningModule) -> StepView:
        assert isinstance(module, HasBatchLoss)
        look = SecondLook(trainer, module, self._batches, self.images)
        return StepView(
            layers=_layers(module),
            before=self._before,
            used_gradients=self._gradients,
            missing=self._missing(trainer),
            all_layers=layers_of(module.network, frozen=True),
            loss=torch.stack(self._losses).mean() if self._losses else torch.zeros((), device=module.device),
            optimizer=trainer.optimizers[0],
            batches=look.batches,
            halves=look.halves,
            batch_size=look.batch_size,
            fixed_loss=look.fixed_loss,
            start=look.start,
        )

    def _missing(self, trainer: pl.Trainer) -> float:
        """Return what gradients are to be multiplied by, to be those of the mean over the step's batches.

        The last batches of an epoch may be fewer than are accumulated, and Lightning divides by that number all the
        same.
        """
        batches, accumulated = len(self._batches), trainer.accumulate_grad_batches
        return accumulated / batches if 0 < batches < accumulated else 1.0

    def _keep_weights(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        assert isinstance(module, HasBatchLoss)
        content = io.BytesIO()
        torch.save(encoded(module.network.state_dict(), self._start), content)
        for logger in trainer.loggers:
            if isinstance(logger, Recorder):
                logger.log_content(content.getvalue(), f"step_{step:08}.pt", names.TRAJECTORY_FOLDER)

    def _conclude(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not (trainer.is_global_zero and self._histories and isinstance(module, HasBatchLoss)):
            return
        facts = Facts(
            criterion=type(module.criterion).__name__,
            layers=tuple(_layers(module)),
            verdict=self.health.verdict,
            half=any(parameter.dtype.itemsize < 4 for parameter in module.parameters()),
        )
        found = findings(self._histories, facts)
        for finding in found:
            tell(f"finding: {finding.sentence}", sys.stdout)
        for logger in trainer.loggers:
            if isinstance(logger, Recorder):
                logger.set_findings([(str(finding.kind), finding.sentence) for finding in found])


def _layers(module: HasBatchLoss) -> dict[str, tuple[nn.Parameter, ...]]:
    """Return the layers of the network, and what the loss learns as the last one."""
    learned = tuple(parameter for parameter in module.criterion.parameters() if parameter.requires_grad)
    return {**layers_of(module.network), **({CRITERION: learned} if learned else {})}


def _as_tag(layers: Iterable[str]) -> str:
    """Return names as JSON, as many as a tag of MLflow holds."""
    listed = list(layers)
    while len(text := json.dumps(listed)) > _TAG_LENGTH:
        listed = listed[: len(listed) * 9 // 10]
    return text


def _on_cpu(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all tensors of a network."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _parameters(module: HasBatchLoss) -> list[nn.Parameter]:
    return [parameter for own in _layers(module).values() for parameter in own]
