"""Parameter groups, and optimizers that torch lacks.

They are Muon for convolutions and SGD with decoupled weight decay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim import Muon as MatrixMuon

from lit_lossopt.networks.backbone import Backbone

OptimizerCallable = Callable[[Iterable[Any]], Optimizer]
# Name of the group that holds a loss's own parameters.
OF_LOSS = "criterion"


def parameter_groups(
    network: nn.Module, *, decay_biases: bool, backbone_lr_factor: float = 1.0
) -> list[dict[str, Any]]:
    """Return the parameter groups for an optimizer.

    There is one group, or two. Biases and norms then stand apart and do not decay.

    Biases, and the scales and shifts of normalisation layers, are exactly the parameters of at most one dimension.
    With a factor other than 1 there are such groups for the backbone, and behind them for the head.

    Args:
        network: the network to train.
        decay_biases: whether the optimizer's weight decay acts on biases and norms too (torch's own behaviour).
        backbone_lr_factor: the backbone's learning rate, as a multiple of the head's.

    Raises:
        ValueError: the network has no trainable parameters, or names no head where one is needed.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"{type(network).__name__} has no trainable parameters")
    if backbone_lr_factor == 1:
        return _by_decay("", parameters, decay_biases=decay_biases)
    backbone = Backbone(network).parameters
    behind = {id(parameter) for parameter in backbone}
    head = [parameter for parameter in parameters if id(parameter) not in behind]
    slower = _by_decay("backbone", backbone, decay_biases=decay_biases)
    return [
        *({**group, "lr_factor": backbone_lr_factor} for group in slower),
        *_by_decay("head", head, decay_biases=decay_biases),
    ]


def _by_decay(part: str, parameters: list[nn.Parameter], *, decay_biases: bool) -> list[dict[str, Any]]:
    if decay_biases:
        return [{"name": part or "all", "params": parameters}]
    prefix = f"{part}_" if part else ""
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"name": f"{prefix}weights", "params": weights},
        {"name": f"{prefix}biases_and_norms", "params": others, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def loss_groups(criterion: nn.Module) -> list[dict[str, Any]]:
    """Return the group of a loss's own parameters.

    A learned temperature is one. The result is empty where the loss has none.

    They learn at the optimizer's rate. They do not decay: a temperature or a class's direction is not the better for
    being small.
    """
    parameters = [parameter for parameter in criterion.parameters() if parameter.requires_grad]
    return [{"name": OF_LOSS, "params": parameters, "weight_decay": 0.0}] if parameters else []


def build_optimizer(
    optimizer: OptimizerCallable,
    network: nn.Module,
    criterion: nn.Module | None = None,
    *,
    decay_biases: bool,
    backbone_lr_factor: float = 1.0,
) -> Optimizer:
    """Return the optimizer of network and loss.

    The backbone has its own rate.

    Raises:
        ValueError: the optimizer refuses its arguments, for example a negative learning rate.
    """
    groups = parameter_groups(network, decay_biases=decay_biases, backbone_lr_factor=backbone_lr_factor)
    learned = loss_groups(criterion) if criterion else []
    try:
        built = optimizer([*groups, *learned])
    except ValueError as error:
        if "parameter groups" not in str(error):
            raise
        reasons = ["leave backbone_lr_factor at 1 and decay_biases at true"] if len(groups) > 1 else []
        reasons += [f"{type(criterion).__name__} has parameters of its own, which need one"] if learned else []
        raise ValueError(f"{error}: {'; '.join(reasons)}" if reasons else str(error)) from error
    _scale_rates(built)
    if isinstance(built, torch.optim.SparseAdam):
        raise ValueError("SparseAdam updates only sparse gradients, which images do not give; take Adam")  # noqa: TRY004
    if isinstance(built, torch.optim.LBFGS):
        # It flattens weights and gradients as views, which channels_last does not allow.
        network.to(memory_format=torch.contiguous_format)
    return built


def has_rate(group: dict[str, Any]) -> bool:
    """Return True if a parameter group has a learning rate.

    Some optimizers find their own step and have none.
    """
    return group.get("lr") is not None


def _scale_rates(built: Optimizer) -> None:
    """Give each group its share of the learning rate."""
    for group in built.param_groups:
        factor = group.get("lr_factor", 1.0)
        if has_rate(group):
            # Not in place: groups may share a tensor.
            group["lr"] = group["lr"] * factor
        elif factor != 1:
            raise ValueError(f"{type(built).__name__} has no learning rate; leave backbone_lr_factor at 1")


class SGDW(SGD):
    """SGD with decoupled weight decay.

    Weights shrink by lr × weight_decay, apart from gradient and momentum.

    With SGD's own ``weight_decay`` (L2) the decay passes through the momentum buffer.

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: momentum factor.
        weight_decay: decay per unit of learning rate.
        nesterov: whether to use Nesterov momentum.

    Source: Loshchilov, Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 1 (without its schedule).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.01,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # one form
        """Decay, then make SGD's step without its own decay."""
        loss = _evaluated(closure)
        decays = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
            group["weight_decay"] = 0.0
        super().step()
        for group, decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = decay
        return loss


class Muon(Optimizer):
    """Muon on the weights of hidden layers.

    Convolutions are seen as matrices. AdamW takes the rest.

    torch's Muon takes matrices only. A convolution's weight ``[O, I, H, W]`` is given to it as the matrix
    ``[O, H·W·I]`` or ``[O, I·H·W]``, whichever is a view in its memory layout: orthogonalisation does not depend on the
    order of columns. Biases, norms and the last layer, whose rows are classes, go to AdamW, and so does what a loss
    learns.

    Args:
        params: parameters or groups, in the network's order.
        lr: learning rate of Muon.
        weight_decay: decoupled weight decay of both.
        momentum: momentum of Muon.
        nesterov: whether Muon's momentum is Nesterov's.
        ns_steps: Newton-Schulz iterations.
        adjust_lr_fn: how Muon's rate is scaled with a matrix's shape: ``original`` or ``match_rms_adamw``.
        adamw_lr: learning rate of AdamW; follows the same schedule.
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
        # Of a loss with matrices of its own, the network's last layer is still the last.
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
        # Both rules look at their arguments only when they are made, which step() does.
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
        """Let each group's rule make its step."""
        loss = _evaluated(closure)
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
        """Make one step of ``rule`` on tensors that share memory.

        They share that of the parameters. Their state is kept under ours.
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


def _evaluated(closure: Callable[[], float] | None) -> float | None:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _matrix(parameter: Tensor) -> Tensor:
    """Return a matrix ``[O, -1]`` in the parameter's own memory.

    Its gradient matches.
    """
    assert parameter.grad is not None
    # A copy in place of a view would be updated and lost: permute to the order in memory before flattening.
    in_memory = (0, 2, 3, 1) if parameter.ndim == 4 and not parameter.is_contiguous() else tuple(range(parameter.ndim))
    matrix = parameter.detach().permute(in_memory).view(parameter.shape[0], -1)
    matrix.grad = parameter.grad.permute(in_memory).reshape(parameter.shape[0], -1)
    return matrix
