"""torchvision's networks: everything but the head comes from the file, and what does not fit is one line."""

from __future__ import annotations

import functools
import re
import socket
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import Notice
from lit_lossopt.networks import pretrained_weights as weights
from lit_lossopt.networks.backbone import Backbone
from lit_lossopt.networks.pretrained_weights import load_backbone, weights_left_unread
from lit_lossopt.networks.torchvision_network import TorchvisionNetwork

# One network of each family, and pixels that it can take.
FAMILIES = {
    "googlenet": 32, "mnasnet0_5": 32, "mobilenet_v3_small": 32, "regnet_y_400mf": 32, "resnet18": 32,
    "shufflenet_v2_x0_5": 32, "squeezenet1_1": 32,
}  # fmt: skip
LARGE = {
    "alexnet": 64, "convnext_tiny": 32, "densenet121": 32, "efficientnet_b0": 32, "efficientnet_v2_s": 32,
    "inception_v3": 75, "maxvit_t": 224, "mobilenet_v2": 32, "swin_t": 32, "swin_v2_t": 32, "vgg11": 32,
    "vit_b_32": 224, "wide_resnet50_2": 32,
}  # fmt: skip


def whole_network(name: str) -> nn.Module:
    """A network as torchvision trained it: 1000 classes, auxiliary classifiers if it has them."""
    auxiliary = {"init_weights": False} if name in ("googlenet", "inception_v3", "vgg11") else {}
    network: nn.Module = models.get_model(name, weights=None, **auxiliary)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.add_(0.01)  # what a fresh network would have by itself proves nothing
    return network


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the smallest network, SqueezeNet."""
    path = tmp_path_factory.mktemp("weights") / "squeezenet.pth"
    torch.save(whole_network("squeezenet1_1").state_dict(), path)
    return path


def read(path: Path) -> OrderedDict[str, Tensor]:
    state: OrderedDict[str, Tensor] = torch.load(path, weights_only=True)
    return state


@pytest.mark.parametrize(
    ("name", "size"),
    [*FAMILIES.items(), *(pytest.param(*row, marks=pytest.mark.slow) for row in LARGE.items())],
)
def test_all_but_the_head_comes_from_the_file(name: str, size: int) -> None:
    torch.save(whole_network(name).state_dict(), "weights.pth")
    network = TorchvisionNetwork(name, weights="weights.pth", image_size=size, num_outputs=5)
    given = read(Path("weights.pth"))
    own = network.model.state_dict()
    head = {entry for entry in own if own[entry].shape != given[entry].shape}
    assert head == {entry for entry in own if entry.startswith(f"{network._head_name}.")}
    assert all(torch.equal(own[entry], given[entry]) for entry in own.keys() - head)
    assert {entry.partition(".")[0] for entry in given.keys() - own.keys()} <= {"aux1", "aux2", "AuxLogits"}
    assert network.training
    assert network(torch.randn(2, 3, size, size)).shape == (2, 5)
    trainable = sum(parameter.numel() for parameter in Backbone(network).parameters)
    assert trainable == sum(p.numel() for entry, p in network.model.named_parameters() if entry not in head)


@pytest.mark.parametrize("name", ["googlenet", "shufflenet_v2_x0_5"])
def test_given_the_head_too_it_computes_what_torchvisions_own_does(name: str, tmp_path: Path) -> None:
    chosen = models.get_model_weights(name).DEFAULT
    fetched = tmp_path / "cache" / "torch" / "hub" / "checkpoints" / chosen.url.rpartition("/")[2]
    fetched.parent.mkdir(parents=True)
    given = whole_network(name)
    for norm in given.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
    given(torch.randn(8, 3, 32, 32))  # statistics with which different images have different outputs
    torch.save(given.state_dict(), fetched)
    twin = models.get_model(name, weights=chosen).eval()
    network = TorchvisionNetwork(name, weights="DEFAULT", num_outputs=1000).eval()
    network.head.load_state_dict(twin.get_submodule(network._head_name).state_dict())
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(network(images), twin(images))


def test_the_head_is_fresh_also_where_it_would_fit(small: Path) -> None:
    torch.manual_seed(0)
    first = TorchvisionNetwork("squeezenet1_1", weights=str(small), num_outputs=1000)
    torch.manual_seed(0)
    second = TorchvisionNetwork("squeezenet1_1", weights=str(small), num_outputs=1000)
    torch.manual_seed(1)
    other = TorchvisionNetwork("squeezenet1_1", weights=str(small), num_outputs=1000)
    heads = [next(network.head.parameters()).detach() for network in (first, second, other)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert not any(torch.equal(head, read(small)["classifier.1.weight"]) for head in heads)


def packed(state: OrderedDict[str, Tensor], form: str) -> Any:
    match form:
        case "of a run":
            names = {f"network.model.{name}": value for name, value in state.items()}
            return {"state_dict": {**names, "criterion.weight": torch.ones(3)}, "epoch": 3}
        case "of torchvision's training script":
            return {"model": state, "epoch": 3, "optimizer": {"state": {}}}
        case "of DataParallel":
            return OrderedDict((f"module.{name}", value) for name, value in state.items())
        case "without head":
            return OrderedDict((name, value) for name, value in state.items() if not name.startswith("classifier"))
        case _:
            return dict(state)


@pytest.mark.parametrize(
    "form", ["of a run", "of torchvision's training script", "of DataParallel", "without head", "a plain dict"]
)
@pytest.mark.parametrize("name", ["squeezenet1_1", "mnasnet0_5"])
def test_weights_are_found_in_what_people_keep(name: str, form: str) -> None:
    state: Any = whole_network(name).state_dict()
    torch.save(packed(state, form), "kept.ckpt")
    network = TorchvisionNetwork(name, weights="kept.ckpt")
    own = network.model.state_dict()
    assert all(torch.equal(own[entry], state[entry]) for entry in own if not entry.startswith(network._head_name))


def test_the_names_of_old_densenet_files_are_understood() -> None:
    state = whole_network("densenet121").state_dict()
    old = OrderedDict(
        (re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name), value)
        for name, value in state.items()
        if "num_batches" not in name
    )
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, "old.pth")
    own = TorchvisionNetwork("densenet121", weights="old.pth").model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in state.items() if not name.startswith("classifier"))


def test_position_embeddings_are_interpolated() -> None:
    tiny = functools.partial(
        VisionTransformer, patch_size=8, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=3
    )
    given = tiny(image_size=32)
    nn.init.normal_(given.encoder.pos_embedding)
    given.encoder.pos_embedding.data[:, 1:, 0] = 5.0  # a constant stays one when it is interpolated
    network = tiny(image_size=16)
    load_backbone(network, OrderedDict(given.state_dict()), "heads.", 16)
    found = network.encoder.pos_embedding.detach()
    assert found.shape == (1, 1 + 2 * 2, 8)
    torch.testing.assert_close(found[:, 1:, 0], torch.full((1, 4), 5.0))
    assert torch.equal(found[:, 0], given.encoder.pos_embedding.detach()[:, 0])
    assert torch.equal(network.conv_proj.weight, given.conv_proj.weight)


def test_images_of_one_channel_are_shown_as_grey() -> None:
    network = TorchvisionNetwork("squeezenet1_1", in_channels=1).eval()
    seen: list[Tensor] = []
    network.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for channels in (1, 2, 4):
        images = torch.randn(2, channels, 32, 32)
        network(images)
        grey = images.sum(1) / channels
        torch.testing.assert_close(seen.pop(), torch.stack([grey, grey, grey], dim=1))


@pytest.mark.parametrize("size", [8, 80])
def test_images_are_resized_before_the_first_layer(size: int) -> None:
    network = TorchvisionNetwork("squeezenet1_1", input_size=32, image_size=size).eval()
    seen: list[torch.Size] = []
    network.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    assert network(torch.full((2, 3, size, size), 0.5)).shape == (2, 10)
    assert seen == [(2, 3, 32, 32)]


def test_left_unread_weights_need_no_file() -> None:
    with weights_left_unread():
        network = TorchvisionNetwork("squeezenet1_1", weights="gone.pth")
    assert network.weights_sha256 is None
    with pytest.raises(ValueError, match="neither a local file"):
        TorchvisionNetwork("squeezenet1_1", weights="gone.pth")


class Touches:
    """Unpickled without care, it writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


NOT_FINITE = {"features.0.weight": torch.full((64, 3, 3, 3), torch.nan)}
REFUSED: list[tuple[Any, str]] = [
    ({"features.0.weight": Touches()}, "holds more than weights; load it where it was made"),
    ([torch.ones(1)], "holds no weights"),
    ({}, "holds no weights"),
    ({"epoch": 3}, "holds no weights"),
    ({"linear.weight": torch.ones(2)}, "are missing, such as features.0.weight; 1 have no place in it"),
    ({"features.0.weight": torch.ones(64, 3, 3, 3)}, "are missing, such as features.0.bias"),
    ({"features.0.weight": torch.ones(96, 3, 7, 7)}, "size mismatch for features.0.weight"),
    (NOT_FINITE, "features.0.weight holds values that are not finite"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_files_that_do_not_fit_are_refused_in_one_line(
    content: Any, message: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({**read(small), **content} if content is NOT_FINITE else content, "given.pth")
    words = ["--model.network=TorchvisionNetwork", "--model.network.name=squeezenet1_1"]
    assert main(["fit", *words, "--model.network.input_size=32", "--model.network.weights=given.pth"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("lossopt: model.network.weights=given.pth: ")
    assert message in shown
    assert shown.count("\n") == 1
    assert not Path("executed").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_network_in_a_file_is_told_from_its_weights(zipped: bool, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(whole_network("squeezenet1_1"), "whole.pth", _use_new_zipfile_serialization=zipped)
    words = ["--model.network=TorchvisionNetwork", "--model.network.name=squeezenet1_1"]
    assert main(["fit", *words, "--model.network.input_size=32", "--model.network.weights=whole.pth"]) == 2
    assert capsys.readouterr().err == (
        "lossopt: model.network.weights=whole.pth: whole.pth holds more than weights; load it where it was made and "
        "save the weights alone: torch.save(network.state_dict(), path)\n"
    )


def test_a_file_of_something_else_is_damaged_in_our_own_words() -> None:
    Path("page.pth").write_bytes(b"<html>nothing at all</html>")
    with pytest.raises(ValueError, match=r"page.pth is damaged \(not a file of torch.save\); take another file$"):
        TorchvisionNetwork("squeezenet1_1", weights="page.pth")


@pytest.mark.parametrize("kept", [0, 1, 100, 1_000_000])
def test_a_file_that_was_cut_short_is_refused(kept: int, small: Path) -> None:
    Path("cut.pth").write_bytes(small.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model.network.weights=cut.pth: cut.pth is damaged"):
        TorchvisionNetwork("squeezenet1_1", weights="cut.pth")


TYPED_WRONG = [
    ("name=resnet81", "model.network.name=resnet81: torchvision has no classifier of that name (did you mean 'resnet"),
    ("name=fasterrcnn_resnet50_fpn", "torchvision has no classifier of that name"),
    ("name=quantized_resnet18", "torchvision has no classifier of that name"),
    ("name=alexnet", "it cannot take images of 8 pixels (Given input size"),
    ("name=vit_b_32", "it cannot take images of 8 pixels (Input shape indivisible by patch size!)"),
    ("name=resnet18 input_size=0", "model.network.input_size=0: must be at least 1"),
    ("name=resnet18 weights=IMAGENET1K_V9", "nor weights of resnet18 (did you mean 'IMAGENET1K_V1'?)"),
    ("name=resnet18 weights=https://example.org/x.pth", "neither a local file"),
    (f"name=resnet18 weights={'x' * 300}", "neither a local file"),
    ("name=resnet18 num_outputs=3", "set by the program"),
    ("", "the following arguments are required: name"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "message"), TYPED_WRONG, ids=[typed for typed, _ in TYPED_WRONG])
def test_a_network_that_cannot_be_had_is_one_line(typed: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--model.network.{word}" for word in typed.split()]
    assert main(["fit", "--model.network=TorchvisionNetwork", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "network=torchvision.models.resnet18",
            "take --model.network=TorchvisionNetwork --model.network.name=resnet18",
        ),
        ("frozen_epochs=-1", "frozen_epochs=-1"),
        ("backbone_lr_factor=0", "backbone_lr_factor=0.0"),
        ("network=torch.nn.Flatten frozen_epochs=1", "Flatten does not say which it is: give it an attribute `head`"),
        ("optimizer=LBFGS backbone_lr_factor=0.1", "leave backbone_lr_factor at 1"),
        (
            "lr_scheduler=OneCycleLR lr_scheduler.max_lr=1 lr_scheduler.total_steps=9 backbone_lr_factor=0.1",
            "OneCycleLR with one max_lr for parameter groups of different rates",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(
    typed: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *(f"--model.{word}" for word in typed.split())]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_weights_that_cannot_be_fetched_say_where_to_put_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a proxy that accepts and never answers
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(weights, "TIME_LIMIT", 0.2)
        with pytest.warns(Notice, match="fetching https://"):
            assert main(["fit", "--config", "finetune_resnet18", "--config", "digits"]) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert "resnet18-f37072fd.pth could not be fetched" in shown
    folder = tmp_path / "cache" / "torch" / "hub" / "checkpoints"
    assert f"put that file into {folder}" in shown
    assert list(folder.iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_weights_that_torch_has_fetched_before_need_no_network(resnet18: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "resnet18-f37072fd.pth").symlink_to(resnet18)
    for name in ("DEFAULT", "IMAGENET1K_V1", "ResNet18_Weights.IMAGENET1K_V1"):
        network = TorchvisionNetwork("resnet18", weights=name)
        assert torch.equal(network.model.conv1.weight, read(resnet18)["conv1.weight"])  # type: ignore[arg-type, union-attr]  # a layer
