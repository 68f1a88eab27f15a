"""One contract for every optimizer: the loss falls, groups and arguments are as asked, state survives a checkpoint."""

from __future__ import annotations

import copy
import functools
import io
from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch import nn

from lit_lossopt import optimizers
from lit_lossopt.config.signatures import class_paths, names_to_choose
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.optimizers import build_optimizer

# Class and arguments that suit this small problem; every class of torch.optim that can train a CNN, ours, some of the
# extra's.
TABLE: dict[type[torch.optim.Optimizer], dict[str, Any]] = {
    torch.optim.ASGD: {"lr": 0.2},
    torch.optim.Adadelta: {"lr": 1.0},
    torch.optim.Adafactor: {"lr": 0.02},
    torch.optim.Adagrad: {"lr": 0.02},
    torch.optim.Adam: {"lr": 3e-3},
    torch.optim.AdamW: {"lr": 3e-3},
    torch.optim.Adamax: {"lr": 2e-2},
    torch.optim.LBFGS: {"lr": 0.1, "max_iter": 4},
    torch.optim.NAdam: {"lr": 3e-3},
    torch.optim.RAdam: {"lr": 3e-2},
    torch.optim.RMSprop: {"lr": 1e-3},
    torch.optim.Rprop: {"lr": 1e-3},
    torch.optim.SGD: {"lr": 0.1, "momentum": 0.9},
    optimizers.SGDW: {"lr": 0.1, "momentum": 0.9},
    optimizers.Muon: {"lr": 0.02, "adamw_lr": 3e-3},
    pytorch_optimizer.Lion: {"lr": 3e-3},
    pytorch_optimizer.SOAP: {"lr": 1e-2},
    pytorch_optimizer.ScheduleFreeAdamW: {"lr": 1e-2},
    pytorch_optimizer.ScheduleFreeSGD: {"lr": 0.7},
    pytorch_optimizer.AdaBelief: {"lr": 3e-3},
}
NOT_FOR_IMAGES = {torch.optim.SparseAdam: "only sparse gradients", torch.optim.Muon: "only matrices; ours routes them"}
ONE_GROUP = {torch.optim.LBFGS}
NO_DECAY = {torch.optim.LBFGS, torch.optim.Rprop}
OPTIMIZERS = pytest.mark.parametrize(
    ("optimizer", "arguments"), TABLE.items(), ids=lambda value: getattr(value, "__name__", "")
)


def test_the_table_holds_every_optimizer_of_torch() -> None:
    classes = {value for value in vars(torch.optim).values() if isinstance(value, type)}
    of_torch = {one for one in classes if issubclass(one, torch.optim.Optimizer)} - {torch.optim.Optimizer}
    assert of_torch <= set(TABLE) | set(NOT_FOR_IMAGES)


def test_the_table_holds_every_optimizer_of_ours() -> None:
    paths = class_paths("model.optimizer")
    ours = {name for name in names_to_choose("model.optimizer") if paths[name].startswith("lit_lossopt.")}
    assert ours <= {optimizer.__name__ for optimizer in TABLE if optimizer.__module__.startswith("lit_lossopt.")}


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    data = DigitsDataModule()
    data.setup("fit")
    images = data.images("train").take(torch.arange(128))
    return data.on_after_batch_transfer((images.images, images.labels), 0)


class Training:
    """A small network on one batch."""

    def __init__(self, optimizer: type[torch.optim.Optimizer], arguments: dict[str, Any], **options: bool) -> None:
        torch.manual_seed(0)
        network = MiniCNN(in_channels=1, image_size=8, channels=(4, 8), hidden=16, dropout=0.0)
        self.network = network.to(memory_format=torch.channels_last)
        factory = functools.partial(optimizer, **arguments)
        self.optimizer = build_optimizer(factory, self.network, decay_biases=options.get("decay_biases", True))

    def steps(self, batch: tuple[torch.Tensor, torch.Tensor], count: int) -> list[float]:
        def closure() -> float:
            self.optimizer.zero_grad()
            loss = nn.functional.cross_entropy(self.network(batch[0]), batch[1])
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            return loss.detach()  # type: ignore[return-value]  # a tensor is what optimizers take

        if hasattr(self.optimizer, "train"):
            self.optimizer.train()
        return [float(self.optimizer.step(closure)) for _ in range(count)]

    def weights(self) -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in self.network.parameters()]


@OPTIMIZERS
def test_the_loss_falls(
    optimizer: type[torch.optim.Optimizer], arguments: dict[str, Any], batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    training = Training(optimizer, arguments)
    before = training.weights()
    losses = training.steps(batch, 60)
    assert losses[-1] < 0.6 * losses[0]
    for old, new in zip(before, training.weights(), strict=True):
        assert not torch.equal(old, new)


@OPTIMIZERS
def test_groups_and_arguments_are_as_asked(optimizer: type[torch.optim.Optimizer], arguments: dict[str, Any]) -> None:
    training = Training(optimizer, arguments)
    every = [id(p) for group in training.optimizer.param_groups for p in group["params"]]
    assert sorted(every) == sorted(id(p) for p in training.network.parameters())
    for group in training.optimizer.param_groups:
        for name, value in arguments.items():
            expected = arguments["adamw_lr"] if name == "lr" and group.get("name") == "adamw" else value
            belongs = group.get("name") in ("all", "muon") or name == "lr"
            assert group.get(name) == expected if belongs else name not in group or name == "adamw_lr"
        for name, default in training.optimizer.defaults.items():
            if name not in (*arguments, "adamw_lr") and group.get("name") == "all":
                assert group[name] == default
    if optimizer in ONE_GROUP:
        with pytest.raises(ValueError, match="parameter groups"):
            Training(optimizer, arguments, decay_biases=False)
        return
    apart = Training(
        optimizer, {**arguments, **({} if optimizer in NO_DECAY else {"weight_decay": 0.1})}, decay_biases=False
    )
    for group in apart.optimizer.param_groups:
        small = [p for p in group["params"] if p.ndim <= 1]
        assert len(small) in (0, len(group["params"]))
        if optimizer not in NO_DECAY:
            assert group["weight_decay"] == (0 if small else 0.1)


@OPTIMIZERS
def test_state_survives_a_checkpoint_bit_for_bit(
    optimizer: type[torch.optim.Optimizer], arguments: dict[str, Any], batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    whole, resumed = Training(optimizer, arguments), Training(optimizer, arguments)
    whole.steps(batch, 3)
    file = io.BytesIO()
    torch.save({"network": whole.network.state_dict(), "optimizer": whole.optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    resumed.network.load_state_dict(state["network"])
    resumed.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
    assert whole.steps(batch, 3) == resumed.steps(batch, 3)
    for one, other in zip(whole.weights(), resumed.weights(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
def test_muon_moves_a_convolution_as_torchs_own_moves_its_matrix(layout: torch.memory_format) -> None:
    convolution, head = nn.Conv2d(3, 8, 3).to(memory_format=layout), nn.Linear(8, 2)
    parameters = [*convolution.parameters(), *head.parameters()]
    optimizer = optimizers.Muon(parameters, lr=0.1)
    twin = nn.Parameter(convolution.weight.detach().permute(0, 2, 3, 1).reshape(8, -1).clone())
    plain = torch.optim.Muon([twin], lr=0.1, momentum=0.95, weight_decay=0.0)
    for _ in range(3):
        optimizer.zero_grad()
        images = torch.randn(4, 3, 3, 3).to(memory_format=layout)
        head(convolution(images).flatten(1)).square().sum().backward()
        assert convolution.weight.grad is not None
        twin.grad = convolution.weight.grad.permute(0, 2, 3, 1).reshape(8, -1)
        optimizer.step()
        plain.step()  # type: ignore[no-untyped-call]  # torch's own
    moved = convolution.weight.detach().permute(0, 2, 3, 1).reshape(8, -1)
    # Newton-Schulz runs in bfloat16, so another order of columns rounds otherwise.
    torch.testing.assert_close(moved, twin.detach(), rtol=0, atol=0.01)
    assert [group["name"] for group in optimizer.param_groups] == ["muon", "adamw"]
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(convolution.weight)]


def test_muon_does_not_depend_on_the_memory_layout(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    last = Training(optimizers.Muon, {"lr": 0.02})
    first = Training(optimizers.Muon, {"lr": 0.02})
    first.network.to(memory_format=torch.contiguous_format)
    losses = [training.steps(batch, 5) for training in (last, first)]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)


def test_muon_without_a_hidden_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="only one weight matrix"):
        optimizers.Muon(nn.Linear(3, 2).parameters())


@pytest.mark.parametrize(("optimizer", "decoupled"), [(torch.optim.SGD, False), (optimizers.SGDW, True)])
def test_decoupled_decay_passes_by_the_momentum(optimizer: type[torch.optim.Optimizer], decoupled: bool) -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    built = optimizer([weight], lr=0.1, momentum=0.9, weight_decay=0.5)  # type: ignore[call-arg]  # both take these
    expected, velocity = 1.0, 0.0
    for gradient in (0.3, -0.2, 0.1, 0.4):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        built.step()
        velocity = 0.9 * velocity + gradient + (0.0 if decoupled else 0.5 * expected)
        expected = expected * (1 - 0.1 * 0.5 if decoupled else 1) - 0.1 * velocity
    assert weight.item() == pytest.approx(expected, rel=1e-12)
