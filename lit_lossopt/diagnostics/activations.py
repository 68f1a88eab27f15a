"""Units that do nothing: dead ReLUs and saturated activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lit_lossopt.diagnostics.layers import Layers

# Beyond them the slope is below a tenth of the steepest: tanh' (2.09) = 0.06, sigmoid' (3.48) = 0.029.
TANH_SATURATED = 0.97
SIGMOID_SATURATED = (0.03, 0.97)


def dead_share(outputs: Tensor) -> Tensor:
    """Return the share of units that are zero for every example.

    A unit is a channel of ``[N, C, H, W]``, and otherwise a place of the last dimension.

    >>> dead_share(torch.tensor([[0.0, 1.0], [0.0, 0.0]])).item()
    0.5
    """
    units = outputs.movedim(1, -1) if outputs.ndim == 4 else outputs
    return (units.flatten(0, -2) == 0).all(0).float().mean()


def saturated_tanh(outputs: Tensor) -> Tensor:
    """Return the share of values beyond ±0.97.

    >>> saturated_tanh(torch.tensor([-0.99, 0.0, 0.5, 0.98])).item()
    0.5
    """
    return (outputs.abs() > TANH_SATURATED).float().mean()


def saturated_sigmoid(outputs: Tensor) -> Tensor:
    """Return the share of values outside [0.03, 0.97].

    >>> saturated_sigmoid(torch.tensor([0.01, 0.5])).item()
    0.5
    """
    low, high = SIGMOID_SATURATED
    return ((outputs < low) | (outputs > high)).float().mean()


def saturated_softmax(outputs: Tensor) -> Tensor:
    """Return the share of examples of which one class has more than 0.97.

    >>> saturated_softmax(torch.tensor([[0.99, 0.01], [0.5, 0.5]])).item()
    0.5
    """
    return (outputs.amax(-1) > SIGMOID_SATURATED[1]).float().mean()


# What is called → the quantity, and how it is computed from the result.
DEAD, SATURATED, SOFTMAX = "dead", "saturated", "softmax"
_KINDS: Mapping[Callable[..., Any], tuple[str, Callable[[Tensor], Tensor]]] = {
    **dict.fromkeys(
        (torch.relu, torch.relu_, functional.relu, functional.relu_, functional.relu6, Tensor.relu, Tensor.relu_),
        (DEAD, dead_share),
    ),
    **dict.fromkeys((torch.tanh, torch.tanh_, functional.tanh, Tensor.tanh, Tensor.tanh_), (SATURATED, saturated_tanh)),
    **dict.fromkeys(
        (torch.sigmoid, torch.sigmoid_, functional.sigmoid, Tensor.sigmoid, Tensor.sigmoid_),
        (SATURATED, saturated_sigmoid),
    ),
    **dict.fromkeys((torch.softmax, functional.softmax, Tensor.softmax), (SOFTMAX, saturated_softmax)),
}


class ActivationWatch(TorchFunctionMode):
    """Looks at each activation while a network computes.

    It is used as a context. Whether an activation is a module or a function makes no difference, and nothing of what
    is computed changes. An activation is named by the layer that was computed last before it, or ``input``. The second
    one behind a layer has the name with ``.2``, and so on.

    Args:
        layers: of the network.

    Attributes:
        shares: (quantity, layer) → share in [0, 1], a scalar on the device. Quantities are ``dead``, ``saturated`` and
            ``softmax``.
    """

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.shares: dict[tuple[str, str], Tensor] = {}
        self._owner = {id(parameter): name for name, own in layers.items() for parameter in own}
        self._latest = "input"
        self._counts: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> Self:
        """Begin a pass."""
        self._latest = "input"
        self._counts.clear()
        super().__enter__()  # type: ignore[no-untyped-call]  # torch's
        return self

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute what is asked, and look at it."""
        result = func(*args, **(kwargs or {}))
        for argument in (*args, *(kwargs or {}).values()):
            if isinstance(argument, nn.Parameter) and id(argument) in self._owner:
                self._latest = self._owner[id(argument)]
        if func in _KINDS and isinstance(result, Tensor) and result.ndim > 1:
            quantity, share = _KINDS[func]
            self._counts[quantity, self._latest] += 1
            number = self._counts[quantity, self._latest]
            name = self._latest if number == 1 else f"{self._latest}.{number}"
            self.shares[quantity, name] = share(result.detach())
        return result
