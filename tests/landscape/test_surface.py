"""The loss at any weights is that of the network with these weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_lossopt.core.errors import UserError
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.diagnostics.sharpness import hessian_product
from lit_lossopt.inference.from_config import LabelLoss
from lit_lossopt.landscape.plane import Plane, line_between, random_plane
from lit_lossopt.landscape.surface import LossSurface
from lit_lossopt.losses import contract_of
from lit_lossopt.networks import MiniCNN

LOSSES = {"cross entropy": nn.CrossEntropyLoss(), "squared error": nn.MSELoss(), "bce": nn.BCEWithLogitsLoss()}


@pytest.fixture(scope="module")
def batches() -> list[tuple[Tensor, Tensor]]:
    """Return two batches of digits, of unequal size."""
    data = DigitsDataModule()
    data.prepare_data()
    data.setup("fit")
    train = data.images("train")
    cuts = (slice(0, 60), slice(60, 100))
    return [data.on_after_batch_transfer((train.images[cut], train.labels[cut]), 0) for cut in cuts]


def network(seed: int = 0) -> MiniCNN:
    torch.manual_seed(seed)
    return MiniCNN(in_channels=1, image_size=8, num_outputs=10)


def surface_of(net: nn.Module, batches: list[tuple[Tensor, Tensor]], criterion: nn.Module | None = None) -> LossSurface:
    loss = nn.CrossEntropyLoss() if criterion is None else criterion
    return LossSurface(copy.deepcopy(net), LabelLoss(loss), batches)


def together(batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


@pytest.mark.parametrize("kind", LOSSES)
def test_the_curvature_at_the_centre_is_that_of_the_hessian(kind: str, batches: list[tuple[Tensor, Tensor]]) -> None:
    # A smooth one: ReLUs have kinks in any neighbourhood, and there no difference of losses is a derivative.
    torch.manual_seed(0)
    criterion = LOSSES[kind]
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(96, 16), nn.Tanh(),
        nn.Linear(16, 10),
    ).double()  # fmt: skip
    exact = [(images.double(), labels) for images, labels in batches]
    surface = surface_of(net, exact, criterion)
    weights = net.eval().state_dict()
    plane = random_plane(weights, surface.filters, seed=1)
    images, labels = together(exact)
    outputs = net(images)
    loss = criterion(outputs, contract_of(criterion).targets(labels, outputs))
    product = hessian_product(loss, list(net.parameters()))
    h = 1e-4
    for axis, place in zip(plane.axes, ((h, 0.0), (0.0, h)), strict=True):
        direction = torch.cat(
            [axis.get(name, torch.zeros_like(value)).flatten() for name, value in net.named_parameters()]
        )
        half_curvature = float(direction @ product(direction)) / 2
        ahead, behind = surface.at(plane, *place), surface.at(plane, *(-one for one in place))
        measured = (ahead + behind - 2 * surface.at(plane, 0.0, 0.0)) / (2 * h**2)
        assert measured == pytest.approx(half_curvature, rel=1e-3)


def test_it_is_the_loss_of_the_network_with_these_weights(batches: list[tuple[Tensor, Tensor]]) -> None:
    first, second = network(1), network(2)
    surface = surface_of(first, batches)
    line = line_between(first.state_dict(), second.state_dict(), surface.trained)
    images, labels = together(batches)
    twin = network()
    for share in (0.0, 0.3, 1.0):
        between = {n: (1 - share) * a + share * second.state_dict()[n] for n, a in first.state_dict().items()}
        twin.load_state_dict(between)
        with torch.no_grad():
            expected = float(functional.cross_entropy(twin.eval()(images), labels))
        assert surface.at(line, share) == pytest.approx(expected, rel=1e-5)
    assert surface.along(line, []).tolist() == []


def test_a_grid_is_its_points(batches: list[tuple[Tensor, Tensor]]) -> None:
    net = network()
    surface = surface_of(net, batches)
    plane = random_plane(net.state_dict(), surface.filters, seed=0)
    told: list[int] = []
    losses = surface.grid(plane, torch.tensor([-1.0, 0.0, 2.0]).numpy(), torch.tensor([0.0, 1.0]).numpy(), told.append)
    assert losses.shape == (2, 3)
    assert told == [3, 3]
    assert losses[1, 2] == surface.at(plane, 2.0, 1.0)
    assert losses[0, 1] == surface.of_snapshot(net.state_dict())


def with_norm(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))


def test_statistics_are_a_snapshots_own_and_are_computed_anew_elsewhere(batches: list[tuple[Tensor, Tensor]]) -> None:
    net = with_norm()
    images, labels = together(batches)
    for _ in range(3):
        net.train()(images + 1)
    state = copy.deepcopy(net.state_dict())
    surface = surface_of(net, batches)
    with torch.no_grad():
        own = float(functional.cross_entropy(net.eval()(images), labels))
        batch_wise = [net.train()(part) for part, _ in batches]
        del batch_wise
    assert surface.of_snapshot(state) == pytest.approx(own, rel=1e-5)
    plane = Plane(state, ({"1.weight": torch.zeros(16, 64)},))
    fresh = with_norm()
    fresh.load_state_dict(state)
    norm = fresh[2]
    assert isinstance(norm, nn.BatchNorm1d)
    with torch.no_grad():
        hidden = [fresh[1](part.flatten(1)) for part, _ in batches]
        norm.running_mean = torch.stack([part.mean(0) for part in hidden]).mean(0)
        norm.running_var = torch.stack([part.var(0) for part in hidden]).mean(0)
        anew = float(functional.cross_entropy(fresh.eval()(images), labels))
    assert surface.at(plane, 0.0) == pytest.approx(anew, rel=1e-5)
    assert abs(anew - own) > 1e-3
    # And the snapshot's own are not lost by that.
    assert surface.of_snapshot(state) == pytest.approx(own, rel=1e-5)


class Tied(nn.Module):
    """A network that uses one matrix twice, and draws in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64, bias=False)
        self.second = nn.Linear(64, 64, bias=False)
        self.second.weight = self.first.weight
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(images.flatten(1)))))
        outputs: Tensor = self.head(functional.dropout(hidden, 0.5, training=True))
        return outputs


def test_a_tensor_with_two_names_moves_and_draws_are_the_same_each_time(batches: list[tuple[Tensor, Tensor]]) -> None:
    torch.manual_seed(0)
    net = Tied()
    surface = surface_of(net, batches)
    assert surface.trained == ["first.weight", "head.weight", "head.bias"]
    state = net.state_dict()
    plane = Plane(state, ({"first.weight": -state["first.weight"]},))
    constant = surface.at(plane, 1.0)
    images, labels = together(batches)
    with torch.no_grad():
        nothing = functional.cross_entropy(net.head.bias.expand(len(images), -1), labels)
    assert constant == pytest.approx(float(nothing), rel=1e-5)
    before = torch.random.get_rng_state()
    assert surface.at(plane, 0.3) == surface.at(plane, 0.3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_loss_that_weighs_classes_is_one_mean_over_all(batches: list[tuple[Tensor, Tensor]]) -> None:
    weight = torch.linspace(0.1, 3, 10)
    net, criterion = network(), nn.CrossEntropyLoss(weight=weight)
    images, labels = together(batches)
    with torch.no_grad():
        expected = float(criterion(net.eval()(images), labels))
    assert surface_of(net, batches, criterion).of_snapshot(net.state_dict()) == pytest.approx(expected, rel=1e-5)


def test_biases_and_norms_have_no_filters(batches: list[tuple[Tensor, Tensor]]) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.LayerNorm([4, 6, 6]),
        nn.GroupNorm(2, 4),
        nn.Flatten(),
        nn.Linear(144, 10),
    )
    assert surface_of(net, batches).filters == ["0.weight", "5.weight"]


def test_weights_of_another_network_are_refused(batches: list[tuple[Tensor, Tensor]]) -> None:
    surface = surface_of(network(), batches)
    surface.check(network().state_dict(), "adam")
    for wrong in ({}, {**network().state_dict(), "linear2.bias": torch.zeros(3)}):
        with pytest.raises(UserError, match="Has its code changed"):
            surface.check(wrong, "adam")
