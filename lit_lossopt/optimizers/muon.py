"""Muon for networks with convolutions, which torch's own refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim import Muon as MatrixMuon

from lit_lossopt.optimizers.closure import evaluated
from lit_lossopt.optimizers.groups import OF_LOSS


class Muon(Optimizer):
    """Muon on the weights of hidden layers, and AdamW on the rest.

    torch's Muon takes matrices only. A convolution's weight ``[O, I, H, W]`` is given to it as the matrix
    ``[O, H·W·I]`` or ``[O, I·H·W]``, whichever is a view in its memory layout. Orthogonalisation does not depend on the
    order of columns. Biases, norms and the last layer, whose rows are classes, go to AdamW, and so does what a loss
    learns.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    >>> [(group["name"], len(group["params"])) for group in Muon(network.parameters()).param_groups]
    [('muon', 1), ('adamw', 3)]

    Args:
        params: parameters or groups, in the network's order.
        lr: learning rate of Muon.
        weight_decay: decoupled weight decay of both.
        momentum: momentum of Muon.
        nesterov: whether Muon's momentum is Nesterov's.
        ns_steps: Newton-Schulz iterations.
        adjust_lr_fn: how Muon's rate is scaled with a matrix's shape, ``original`` or ``match_rms_adamw``.
        adamw_lr: learning rate of AdamW. It follows the same schedule.
        adamw_betas: AdamW's coefficients.

    Raises:
        ValueError: there is no hidden matrix for Muon, or an argument is out of range.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; torch.optim.Muon.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        adamw_lr: float = 1e-3,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        given = list(params)
        groups: list[dict[str, Any]] = given if given and isinstance(given[0], dict) else [{"params": given}]
        # Matrices of a loss come behind the network's, so they must not be taken for its last layer.
        matrices = [p for group in groups if group.get("name") != OF_LOSS for p in group["params"] if p.ndim > 1]
        hidden = {id(parameter) for parameter in matrices[:-1]}
        if not hidden:
            raise ValueError("Muon needs a hidden layer: this network has only one weight matrix; take AdamW")
        muon: dict[str, Any] = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        adamw: dict[str, Any] = {"lr": adamw_lr, "betas": adamw_betas}
        # Both rules check their arguments when they are made. step() makes them, which would be late.
        MatrixMuon([torch.empty(1, 1)], weight_decay=weight_decay, **muon)
        AdamW([torch.empty(1)], weight_decay=weight_decay, **adamw)
        routed = []
        for group in groups:
            for rule, options, mine in (("muon", muon, True), ("adamw", adamw, False)):
                chosen = [p for p in group["params"] if (id(p) in hidden) is mine]
                name = f"{group['name']}_{rule}" if group.get("name", "all") != "all" else rule
                if chosen:
                    routed.append({"weight_decay": weight_decay, **group, **options, "params": chosen, "name": name})
        super().__init__(routed, {"lr": lr, "weight_decay": weight_decay, **muon, "adamw_lr": adamw_lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # one form
        """Make the step of each group by its rule."""
        loss = evaluated(closure)
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if "betas" in group:
                self._delegate(AdamW, group, {p: p for p in parameters}, ("lr", "betas", "weight_decay"))
            else:
                options = ("lr", "momentum", "nesterov", "ns_steps", "adjust_lr_fn", "weight_decay")
                self._delegate(MatrixMuon, group, {p: _matrix(p) for p in parameters}, options)
        return loss

    def _delegate(
        self,
        rule: Callable[..., Optimizer],
        group: dict[str, Any],
        stands_for: dict[Tensor, Tensor],
        options: tuple[str, ...],
    ) -> None:
        """Make one step of ``rule``.

        It works on tensors that share the parameters' memory. Their state is kept under the parameters.
        """
        if not stands_for:
            return
        inner = rule(list(stands_for.values()), **{name: group[name] for name in options})
        for parameter, stand_in in stands_for.items():
            if self.state[parameter]:
                inner.state[stand_in] = self.state[parameter]
        inner.step()
        for parameter, stand_in in stands_for.items():
            self.state[parameter] = inner.state[stand_in]


def _matrix(parameter: Tensor) -> Tensor:
    """Return a matrix ``[O, -1]`` in the parameter's own memory.

    Its gradient is the parameter's.
    """
    assert parameter.grad is not None
    # Permuted to the order in memory before flattening, so that it is a view. A copy would be updated and lost.
    in_memory = (0, 2, 3, 1) if parameter.ndim == 4 and not parameter.is_contiguous() else tuple(range(parameter.ndim))
    matrix = parameter.detach().permute(in_memory).view(parameter.shape[0], -1)
    matrix.grad = parameter.grad.permute(in_memory).reshape(parameter.shape[0], -1)
    return matrix
