"""How often values are copied changes neither what is logged nor where training would be stopped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lit_lossopt.tracking.recording import Point
from lit_lossopt.training.callbacks import step_values
from lit_lossopt.training.callbacks.step_values import StepValues


class Recording:
    """A logger that keeps what it is given, copy by copy."""

    def __init__(self) -> None:
        self.copies: list[list[tuple[str, float, int]]] = []

    def log_points(self, points: list[Point]) -> None:
        self.copies.append([point[:3] for point in points])

    def log_content(self, *_: Any) -> None: ...

    def logged(self) -> dict[str, int]:
        return {}

    def log_tags(self, *_: Any) -> None: ...

    def set_verdict(self, *_: Any) -> None: ...

    def set_findings(self, *_: Any) -> None: ...

    def checkpoint_folder(self) -> None: ...


def trained(steps: int, evaluate_at: int) -> tuple[Recording, list[tuple[list[int], list[float]]]]:
    watched: list[tuple[list[int], list[float]]] = []
    values = StepValues(lambda _t, _m, steps, losses: watched.append((list(steps), losses)))
    logger, weight = Recording(), torch.zeros(1, requires_grad=True)
    trainer: Any = SimpleNamespace(global_step=0, loggers=[logger], optimizers=[torch.optim.SGD([weight], lr=0.5)])
    module: Any = None
    values.on_train_start(trainer, module)
    for step in range(1, steps + 1):
        values.on_train_batch_start(trainer, module, None, step)
        trainer.global_step = step
        values.on_train_batch_end(trainer, module, {"loss_before": torch.tensor(float(step))}, None, step)
        if step == evaluate_at:
            values.on_validation_start(trainer, module)
    values.on_train_end(trainer, module)
    return logger, watched


@pytest.mark.parametrize("seconds", [0.0, 1e-5, 1e9])
def test_copies_in_time_change_nothing_else(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_values, "COPY_SECONDS", seconds)
    logger, watched = trained(130, evaluate_at=70)
    assert [steps for steps, _ in watched] == [
        list(range(1, 51)),
        list(range(51, 71)),
        list(range(71, 121)),
        list(range(121, 131)),
    ]
    assert all(losses == [float(step) for step in steps] for steps, losses in watched)
    points = [point for copy in logger.copies for point in copy]
    assert points == [point for n in range(1, 131) for point in (("train/loss", float(n), n), ("train/lr", 0.5, n))]
    assert len(logger.copies) == {0.0: 130, 1e9: 4}.get(seconds, len(logger.copies))
