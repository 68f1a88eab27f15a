"""The loss of a network at any weights, on fixed training images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from lit_lossopt.core.errors import UserError
from lit_lossopt.diagnostics.batch_statistics import norms_in_training, recompute
from lit_lossopt.diagnostics.looking import apart
from lit_lossopt.diagnostics.trajectory import Weights
from lit_lossopt.landscape.plane import Plane

Floats = NDArray[np.float64]
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class LossSurface:
    """Computes the loss of fixed images at any weights, in evaluation mode.

    A network whose norms keep running statistics has none for weights that were never trained with. There they are
    computed anew from the images themselves (Izmailov et al. 2018). A snapshot has its own.

    Args:
        network: made for the images; its weights are overwritten.
        loss: of outputs ``[N, M]`` and labels ``[N]``. It learns nothing.
        batches: normalised images ``[N, C, H, W]`` and labels ``[N]`` of each batch.
        seed: of networks that draw in evaluation.
        device: where it is computed.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        batches: Sequence[tuple[Tensor, Tensor]],
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.norms = list(norms_in_training(network.train()).values())
        self.network = network.requires_grad_(requires_grad=False).to(self.device).eval()
        self.loss, self.seed = loss.to(self.device).eval(), seed
        kind = next((p.dtype for p in self.network.parameters()), torch.float32)
        self.batches = [(images.to(self.device, kind), labels.to(self.device)) for images, labels in batches]
        # Each tensor once: a network may use one under two names.
        own = {name for name, _ in [*self.network.named_parameters(), *self.network.named_buffers()]}
        self._state = {name: value for name, value in self.network.state_dict().items() if name in own}

    @property
    def trained(self) -> list[str]:
        """Names of the tensors that a training changes by steps."""
        return [name for name, _ in self.network.named_parameters()]

    @property
    def filters(self) -> list[str]:
        """Names of weights that have filters: of two or more dimensions, and neither biases nor a norm's."""
        of_norms = {
            f"{name}.{own}"
            for name, part in self.network.named_modules()
            if isinstance(part, _NORMS)
            for own, _ in part.named_parameters(recurse=False)
        }
        return [
            name
            for name, value in self.network.named_parameters()
            if value.ndim > 1 and name not in of_norms and not name.endswith("bias")
        ]

    def check(self, weights: Weights, whose: str) -> None:
        """Refuse weights of another network.

        Raises:
            UserError: a tensor is missing, or has another shape.
        """
        for name, value in self._state.items():
            if name not in weights or weights[name].shape != value.shape:
                raise UserError(
                    f"landscape: the network that the config of {whose} names now has other weights than the run had "
                    f"({name}). Has its code changed since?"
                )

    def of_snapshot(self, weights: Weights) -> float:
        """Return the loss of a network as a run had it, with its own running statistics."""
        self._set(weights)
        return float(self._loss())

    def at(self, plane: Plane, *place: float) -> float:
        """Return the loss at a place of a plane."""
        return float(self._at(plane, place))

    def along(self, plane: Plane, places: Iterable[Sequence[float]]) -> Floats:
        """Return the losses at places ``[n]``."""
        losses = [self._at(plane, place) for place in places]
        return np.asarray(torch.stack(losses).cpu() if losses else [], np.float64)

    def grid(self, plane: Plane, x: Floats, y: Floats, tell: Callable[[int], object] = lambda _: None) -> Floats:
        """Return the losses at a grid ``[len(y), len(x)]``.

        Args:
            plane: two axes.
            x: along the first axis.
            y: along the second.
            tell: called with the number of points behind each row.
        """
        rows = []
        for up in y:
            rows.append(self.along(plane, [(along, up) for along in x]))
            tell(len(x))
        return np.stack(rows)

    def _at(self, plane: Plane, place: Sequence[float]) -> Tensor:
        self._set(plane.at(*(float(part) for part in place)))
        with apart(self.seed, self.device):
            recompute(self.network, self.norms, (images for images, _ in self.batches) if self.norms else ())
        return self._loss()

    def _set(self, weights: Weights) -> None:
        for name, value in self._state.items():
            value.copy_(weights[name])

    @torch.no_grad()
    def _loss(self) -> Tensor:
        """Return the loss of all images at once: a mean of means would not do for a loss that weighs classes."""
        with apart(self.seed, self.device):
            outputs = torch.cat([self.network(images) for images, _ in self.batches])
            labels = torch.cat([labels for _, labels in self.batches])
            loss: Tensor = self.loss(outputs, labels)
        return loss.detach()
