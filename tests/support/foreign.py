"""Networks, losses and optimizers as another package might bring them: with parameters of their own, or at fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_lossopt.losses import LossContract, class_indices, one_per_class, register_loss, softmax


class Temperature(nn.Module):
    """Cross-entropy of outputs divided by a learned temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(outputs * self.log_scale.exp(), labels)


class Proxies(nn.Module):
    """Cross-entropy of the cosines between an example's outputs and one learned direction a class."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.eye(num_classes))

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        cosines = functional.normalize(outputs) @ functional.normalize(self.directions).T
        return functional.cross_entropy(8 * cosines, labels)


class Counts(nn.Module):
    """Cross-entropy that counts its calls, and weighs them."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return functional.cross_entropy(outputs, labels) * (1 + 0.01 * self.calls)


class Faulty(nn.Module):
    """A loss with a fault."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        assert fault != "made"
        self.fault = fault

    def forward(self, outputs: Tensor, labels: Tensor) -> Any:
        loss = functional.cross_entropy(outputs, labels)
        if self.fault == "key":
            return {"loss": loss}["total"]
        if self.fault == "training" and self.training:
            raise NotImplementedError
        if self.fault == "step" and self.training and self.calls_left() == 0:
            raise LookupError("nothing is left")
        faults: dict[str, Any] = {
            "tuple": (loss, outputs),
            "sum": functional.cross_entropy(outputs, labels, reduction="sum"),
            "detached": loss.detach(),
        }
        return faults.get(self.fault, loss)

    def calls_left(self) -> int:
        self.left = getattr(self, "left", 3) - 1
        return self.left


for _loss in (Temperature, Proxies, Counts, Faulty):
    register_loss(_loss, LossContract(class_indices, one_per_class, softmax))


class FaultyNetwork(nn.Module):
    """A network with a fault."""

    def __init__(self, in_channels: int, image_size: int, num_outputs: int, fault: str = "") -> None:
        super().__init__()
        self.sizes = {"small": 8, "evaluated": 8, "": 8}
        self.fault = fault
        self.linear = nn.Linear(
            in_channels * image_size**2, num_outputs if fault in self.sizes else self.sizes["large"]
        )

    def forward(self, images: Tensor) -> Tensor:
        assert self.fault != ("small" if self.training else "evaluated")
        outputs: Tensor = self.linear(images.flatten(1))
        return outputs


class Plain(torch.optim.Optimizer):
    """Gradient descent without a learning rate, at a fixed step, with a fault."""

    def __init__(
        self,
        params: Iterable[Any],
        step_size: float = 0.1,
        fault: str = "",
        clip: Callable[[int], float] = lambda step: step**0.25,
    ) -> None:
        if fault == "made":
            raise LookupError("no such rule")
        super().__init__(params, {"step_size": step_size})
        self.fault, self.steps, self.training, self.clip = fault, 0, fault != "phases", clip

    def train(self) -> None:
        self.training = True

    def eval(self) -> None:
        self.training = False

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # one form
        # As the authors' package of Schedule-Free: it steps only where it was told that it trains.
        assert self.training, "not in train mode"
        with torch.enable_grad():
            loss = closure() if closure else None
        self.steps += 1
        if self.fault == "fifth" and self.steps == 5:
            raise ZeroDivisionError("the fifth step divides by nothing")
        for group in self.param_groups:
            for parameter in group["params"]:
                if self.fault == "view":
                    parameter.view(-1)
                if self.fault == "state":
                    self.state[parameter]["rule"] = print
                if parameter.grad is not None:
                    parameter.sub_(group["step_size"] * parameter.grad)
        return loss
