from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_lossopt.diagnostics.noise_scale import noise_and_signal
from lit_lossopt.diagnostics.step_geometry import MOST, alpha, cosine, slope_along

# Cockpit's problem: f(w) = wᵀHw / 2 from (1, 1).
HESSIAN = torch.tensor([[2.875, -4.11362], [-4.11362, 7.625]], dtype=torch.float64)


def along(weights: Tensor, update: Tensor, hessian: Tensor) -> Tensor:
    """Return α of a step on wᵀHw / 2."""

    def loss(at: Tensor) -> Tensor:
        return at @ hessian @ at / 2

    length, new = update.norm(), weights + update
    slopes = tuple(slope_along([(hessian @ at).float()], [update.float()], length) for at in (weights, new))
    return alpha((loss(weights), loss(new)), (slopes[0], slopes[1]), length)


@pytest.mark.parametrize(
    ("rate", "losses", "last", "alphas"),
    [
        (lambda _: 0.2, [1.1364, 1.0477, 0.9759], 0.6784, [0.936, 0.948, 0.958]),
        (lambda step: 0.0072 * 0.87**step, [1.1364, 1.0400, 0.9671], 0.6772, [-0.930, -0.940, -0.948]),
    ],
)
def test_the_numbers_of_cockpit(
    rate: Callable[[int], float], losses: list[float], last: float, alphas: list[float]
) -> None:
    weights, seen, found = torch.ones(2, dtype=torch.float64), [], []
    for step in range(20):
        update = -rate(step) * HESSIAN @ weights
        seen.append(float(weights @ HESSIAN @ weights / 2))
        found.append(float(along(weights, update, HESSIAN)))
        weights = weights + update
    assert np.round(seen[:3], 4).tolist() == losses
    assert round(seen[-1], 4) == last
    assert np.round(found[:3], 3).tolist() == pytest.approx(alphas, abs=0.0011)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0, 1.5, 2.0, 3.0])
def test_a_step_of_so_many_times_the_way_to_the_minimum(share: float) -> None:
    assert float(along(torch.tensor([4.0]), torch.tensor([-4.0 * share]), torch.eye(1))) == pytest.approx(share - 1)


def test_equal_weights_on_what_is_no_parabola() -> None:
    values = {"before": 1.0, "after": 0.7, "slope": -0.9, "slope_after": 0.4, "length": 0.8}
    t = values["length"]
    design = np.array([[1, 0, 0], [1, t, t * t], [0, 1, 0], [0, 1, 2 * t]])
    seen = np.array([values["before"], values["after"], values["slope"], values["slope_after"]])
    _, slope, curvature = np.linalg.lstsq(design, seen, rcond=None)[0]
    asked = {name: torch.tensor(value) for name, value in values.items()}
    found = alpha((asked["before"], asked["after"]), (asked["slope"], asked["slope_after"]), asked["length"])
    assert float(found) == pytest.approx(t / (-slope / (2 * curvature)) - 1, rel=1e-4)


def test_a_concave_stretch_goes_down_for_ever_and_a_step_uphill_has_left_the_minimum() -> None:
    one, half, two = torch.tensor(1.0), torch.tensor(0.5), torch.tensor(2.0)
    assert float(alpha((one, -one), (-half, -one), two)) == -1
    assert float(alpha((one, two), (half, one), one)) == MOST
    assert float(alpha((one, one), (-half, half), torch.tensor(0.0))) == -1
    nothing = torch.tensor(torch.nan)
    assert torch.isnan(alpha((one, nothing), (-half, half), one))
    assert torch.isnan(alpha((one, one), (-half, half), nothing))


def test_cosine_is_that_of_all_tensors_together() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs = [(torch.randn(3, 2, generator=generator), torch.randn(3, 2, generator=generator)) for _ in range(4)]
    first, second = (torch.cat([pair[which].flatten() for pair in pairs]) for which in (0, 1))
    found = cosine([one for one, _ in pairs], [two for _, two in pairs])
    assert float(found) == pytest.approx(float(torch.cosine_similarity(first, second, dim=0)), rel=1e-5)
    assert torch.isnan(cosine([torch.zeros(2)], [torch.ones(2)]))


def test_the_noise_scale_of_gradients_whose_noise_is_known() -> None:
    # Gradients of single examples: mean (3, 0), covariance diag(4, 1). So tr(Σ) = 5 and ‖G‖² = 9.
    generator = torch.Generator().manual_seed(1)
    size, traces, squares = 16, [], []
    for _ in range(4000):
        examples = torch.randn(size, 2, generator=generator) * torch.tensor([2.0, 1.0]) + torch.tensor([3.0, 0.0])
        halves = [[half.mean(0)] for half in examples.chunk(2)]
        trace, square = noise_and_signal(halves[0], halves[1], size)
        traces.append(float(trace))
        squares.append(float(square))
    assert np.mean(traces) == pytest.approx(5, abs=5 * np.std(traces) / 4000**0.5)
    assert np.mean(squares) == pytest.approx(9, abs=5 * np.std(squares) / 4000**0.5)
    # The means are known to a fiftieth, so the bounds say something.
    assert np.std(traces) / 4000**0.5 < 0.1
