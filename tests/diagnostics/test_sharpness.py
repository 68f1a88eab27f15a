from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from lit_lossopt.data import DigitsDataModule
from lit_lossopt.diagnostics.sharpness import hessian_product, largest_eigenvalue
from lit_lossopt.diagnostics.stability import RULES, stability_of
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.optimizers import SGDW


def digits(count: int) -> tuple[Tensor, Tensor]:
    data = DigitsDataModule()
    data.prepare_data()
    data.setup("fit")
    train = data.images("train")
    return data.on_after_batch_transfer((train.images[:count], train.labels[:count]), 0)


def test_the_product_is_that_of_the_hessian_written_out() -> None:
    torch.manual_seed(0)
    weights = torch.randn(7, dtype=torch.float64, requires_grad=True)

    def loss(at: Tensor) -> Tensor:
        return (at.sin() * at.roll(1) ** 2).sum()

    hessian = torch.autograd.functional.hessian(loss, weights.detach())  # type: ignore[no-untyped-call]
    parts = [weights[:3].detach().clone().requires_grad_(), weights[3:].detach().clone().requires_grad_()]
    product = hessian_product(loss(torch.cat(parts)), parts)
    vector = torch.randn(7, dtype=torch.float64)
    torch.testing.assert_close(product(vector), hessian @ vector)


def test_parameters_that_a_loss_does_not_know_have_no_curvature() -> None:
    used, idle = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    product = hessian_product((used**2).sum(), [idle, used])
    assert product(torch.ones(5)).tolist() == [0, 0, 0, 2, 2]
    straight = hessian_product(used.sum(), [used])
    assert straight(torch.ones(2)).tolist() == [0, 0]


@pytest.mark.parametrize("size", [1, 2, 3, 40])
def test_the_largest_of_random_matrices_whatever_their_signs(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    for _ in range(20):
        matrix = torch.randn(size, size, generator=generator, dtype=torch.float64)
        matrix = matrix + matrix.T
        found = largest_eigenvalue(
            lambda v, m=matrix: m @ v,  # type: ignore[misc]  # a default
            torch.randn(size, generator=generator, dtype=torch.float64), tolerance=1e-6, most=1000,
        )  # fmt: skip
        assert found.value == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-5)
        assert found.residual <= 1e-6


def test_the_residual_says_how_far_it_is() -> None:
    matrix = torch.diag(torch.linspace(0, 1, 200, dtype=torch.float64))
    start = torch.ones(200, dtype=torch.float64)
    coarse = largest_eigenvalue(lambda v: matrix @ v, start, most=4)
    assert coarse.products == 4
    assert 0 < 1 - coarse.value <= coarse.residual * coarse.value


def test_sharpness_of_mini_cnn_on_digits_is_that_of_scipy() -> None:
    torch.manual_seed(0)
    network = MiniCNN(in_channels=1, image_size=8, num_outputs=10).double().eval()
    images, labels = digits(100)
    loss = nn.functional.cross_entropy(network(images.double()), labels)
    parameters = list(network.parameters())
    product, size = hessian_product(loss, parameters), sum(p.numel() for p in parameters)

    def matvec(vector: Any) -> Any:
        return product(torch.from_numpy(np.asarray(vector).ravel().copy())).numpy()

    operator = LinearOperator((size, size), matvec=matvec, dtype=np.float64)
    (expected,) = eigsh(operator, k=1, which="LA", tol=1e-6, return_eigenvectors=False)
    start = torch.randn(size, dtype=torch.float64)
    assert largest_eigenvalue(product, start).value == pytest.approx(expected, rel=1e-3)
    assert largest_eigenvalue(product, start, tolerance=1e-6, most=500).value == pytest.approx(expected, rel=1e-6)


Maker = Callable[[list[Tensor], float], torch.optim.Optimizer]
FIXED: dict[str, Maker] = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "dampened": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.8, dampening=0.5),
    "nesterov": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True),
    "decay": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.5, weight_decay=3.0),
    "sgdw": lambda p, lr: SGDW(p, lr=lr, momentum=0.9, weight_decay=0.0),
    # The second moment stands still: its mean is what it begins with, for ever.
    "adam": lambda p, lr: torch.optim.Adam(p, lr=lr, betas=(0.9, 1 - 1e-12)),
    "rmsprop": lambda p, lr: torch.optim.RMSprop(p, lr=lr, alpha=1 - 1e-12, eps=1e-3),
    "rmsprop-momentum": lambda p, lr: torch.optim.RMSprop(p, lr=lr, alpha=1 - 1e-12, eps=1e-3, momentum=0.9),
}


def hold(state: dict[str, Any]) -> dict[str, Tensor]:
    """Return a preconditioner of one half, with no momentum yet and no bias, for ever."""
    still = {"step": 1e3, "square_avg": 0.25, "exp_avg_sq": 0.25 * (1 - (1 - 1e-12) ** 1000)}
    moving = dict.fromkeys(("momentum_buffer", "exp_avg"), 0.0)
    return {
        name: torch.full_like(state[name], value)
        for name, value in {**still, **moving}.items()
        if state.get(name) is not None
    }


def grows(make: Maker, rate: float, curvatures: Tensor) -> tuple[bool, float]:
    """Return whether steps on Σ h w² / 2 run away, and the needle.

    A preconditioner that would change with the gradients is held still.
    """
    weights = torch.full_like(curvatures, 1e-3).requires_grad_()
    optimizer = make([weights], rate)

    def step() -> None:
        optimizer.zero_grad()
        (curvatures * weights**2).sum().div(2).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    step()
    state = optimizer.state[weights]
    held = hold(state)
    for name, value in held.items():
        state[name].copy_(value)
    with torch.no_grad():
        weights.fill_(1e-3)
    stability = stability_of(optimizer, [weights])
    assert stability is not None
    product = stability.product(hessian_product((curvatures * weights**2).sum() / 2, [weights]), [weights])
    needle = largest_eigenvalue(product, torch.ones_like(curvatures), tolerance=1e-9).value / stability.edge
    for _ in range(1500):
        if not bool(weights.detach().abs().max() < 1):
            return True, needle
        step()
        for name in ("step", "square_avg", "exp_avg_sq"):
            if name in held:
                state[name].copy_(held[name])
    return bool(weights.detach().abs().max() > 2e-3), needle


@pytest.mark.parametrize("name", FIXED)
def test_the_needle_is_at_one_where_steps_begin_to_run_away(name: str) -> None:
    curvatures = torch.tensor([1.0, 7.0], dtype=torch.float64)
    rate = 0.1
    _, needle = grows(FIXED[name], rate, curvatures)
    for factor, expected in ((0.97, False), (1.03, True)):
        # With decay the needle is still in proportion to the rate.
        ran, at = grows(FIXED[name], rate / needle * factor, curvatures)
        assert at == pytest.approx(factor, rel=1e-3)
        assert ran is expected, name


def test_one_rate_for_all_needs_no_second_search() -> None:
    weights = [torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)]
    same = stability_of(torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=0.5), weights)
    assert same is not None
    assert same.needle(3.0) == pytest.approx(0.1 * 3.5 / 3.8)
    groups: list[dict[str, Any]] = [{"params": weights[:1], "lr": 0.2}, {"params": weights[1:]}]
    apart = stability_of(torch.optim.SGD(groups, lr=0.1), weights)
    assert apart is not None
    assert apart.needle(3.0) is None


def test_where_no_edge_is_known_none_is_named() -> None:
    weights = [torch.ones(2, requires_grad=True)]
    assert stability_of(torch.optim.NAdam(weights), weights) is None
    # Before its first step there is no preconditioner.
    assert stability_of(torch.optim.Adam(weights), weights) is None
    more = torch.ones(1, requires_grad=True)
    mixed: list[dict[str, Any]] = [{"params": weights, "momentum": 0.9}, {"params": [more]}]
    assert stability_of(torch.optim.SGD(mixed, lr=0.1), [*weights, more]) is None
    assert set(RULES) >= {torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop}
