"""The layers of a network, in which gradients are looked at one by one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

Layers = Mapping[str, tuple[nn.Parameter, ...]]


def layers_of(network: nn.Module, *, frozen: bool = False) -> dict[str, tuple[nn.Parameter, ...]]:
    """Return name → trainable parameters of each layer, in the network's own order.

    A layer is a module with parameters of its own. Parameters that several layers share count for the first. With
    ``frozen`` those that do not train are among them.

    >>> list(layers_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))))
    ['0', '2']
    """
    seen: set[int] = set()
    layers: dict[str, tuple[nn.Parameter, ...]] = {}
    for name, module in network.named_modules():
        own = [p for p in module.parameters(recurse=False) if (frozen or p.requires_grad) and id(p) not in seen]
        seen.update(id(parameter) for parameter in own)
        if own:
            layers[name or type(module).__name__] = tuple(own)
    return layers
