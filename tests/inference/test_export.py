"""Exported networks compute what was trained, in the program that they are for; what does not is not kept."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mlflow.tracking import MlflowClient
from safetensors import safe_open
from torch import Tensor

from lit_lossopt import TrainedClassifier, load
from lit_lossopt.__main__ import main
from lit_lossopt.data import DigitsDataModule
from lit_lossopt.inference.export import formats
from lit_lossopt.inference.export.agreement import agreement
from lit_lossopt.inference.export.formats import FORMATS, Format
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.networks.torchvision_network import TorchvisionNetwork
from tests.conftest import FinishedRun
from tests.support.saved_networks import write_network

ENDINGS = sorted(FORMATS)
UNEXPORTABLE = """
import torch
from torch import nn

class Branching(nn.Module):
    def __init__(self, in_channels: int, num_outputs: int) -> None:
        super().__init__()
        self.last = nn.Linear(in_channels, num_outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.mean(dim=(2, 3))
        return self.last(means if means.sum() > 0 else -means)
"""


@pytest.fixture
def digits() -> Tensor:
    """Return real images that the run was not trained on."""
    return DigitsDataModule().read("test").images[:37].contiguous()


def run_onnx(path: Path, images: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def run_pt2(path: Path, images: Tensor) -> Tensor:
    outputs: Tensor = torch.export.load(path).module()(images)
    return outputs


RUN: dict[str, Callable[[Path, Tensor], Tensor]] = {
    ".onnx": run_onnx,
    ".pt2": run_pt2,
    ".safetensors": lambda path, images: load(path).outputs(images),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_computes_what_was_trained(
    ending: str, digits_run: FinishedRun, digits: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(f"model{ending}")
    assert main(["export", str(digits_run.folder), "--to", str(path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.match(rf"model{ending}: 0.2\d* MB, best weights of run {digits_run.run_id} at step \d+; uint8 ", first)
    assert re.fullmatch(r"read back by .*: outputs differ by \S+ at most \(allowed: 0.00\d+\)", second)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~current_umask()
    trained = load(digits_run.folder)
    for count in (1, 5, 37):
        found = RUN[ending](path, digits[:count])
        torch.testing.assert_close(found, trained.outputs(digits[:count]), rtol=1e-4, atol=1e-4)
    assert here() == [path.name], "nothing is left beside it"


def here() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def metadata_of(path: Path) -> dict[str, str]:
    if path.suffix == ".onnx":
        return {item.key: item.value for item in onnx.load(path).metadata_props}
    if path.suffix == ".pt2":
        extra = {formats.PT2_METADATA: ""}
        torch.export.load(path, extra_files=extra)
        found: dict[str, str] = json.loads(extra[formats.PT2_METADATA])
        return found
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def check_metadata(path: Path, run: FinishedRun, which: str) -> dict[str, Any]:
    """Compare with the checkpoint; return what a file says of itself."""
    found = {name: json.loads(text) for name, text in metadata_of(path).items() if name != "format"}
    state = torch.load(run.checkpoints / f"{which}.ckpt", weights_only=True)
    assert found["classes"] == [str(digit) for digit in range(10)]
    assert found["scale"] == state["DigitsDataModule"]["scale"].flatten().tolist()
    assert found["shift"] == state["DigitsDataModule"]["shift"].flatten().tolist()
    assert found["config"] == json.loads(state["lossopt_config"])
    assert (found["image_size"], found["step"], found["run"]) == (8, state["global_step"], run.run_id)
    return found


def test_weights_are_read_by_their_names_elsewhere(digits_run: FinishedRun) -> None:
    assert main(["export", str(digits_run.folder), "--to=model.safetensors"]) == 0
    with safe_open("model.safetensors", framework="numpy") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    state = torch.load(digits_run.checkpoints / "best.ckpt", weights_only=True)["state_dict"]
    assert {f"network.{name}" for name in found} == set(state)
    for name, values in found.items():
        np.testing.assert_array_equal(values, state[f"network.{name}"].numpy())
    assert "outputs" not in check_metadata(Path("model.safetensors"), digits_run, "best")


@pytest.mark.parametrize("ending", [".onnx", ".pt2"])
def test_probabilities_are_those_that_the_loss_implies(ending: str, digits_run: FinishedRun, digits: Tensor) -> None:
    path = Path(f"model{ending}")
    words = ["--which=last", "--outputs=probabilities", "--to", str(path)]
    assert main(["export", str(digits_run.folder), *words]) == 0
    expected = load(digits_run.folder, "last")(digits).probabilities
    assert expected is not None
    torch.testing.assert_close(RUN[ending](path, digits), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(expected.sum(1), torch.ones(len(digits)))
    assert check_metadata(path, digits_run, "last")["outputs"] == "probabilities"


NETWORKS: dict[str, dict[str, Any]] = {
    "one logit": {"network": lambda: MiniCNN(3, 16, 1), "criterion": "torch.nn.BCEWithLogitsLoss"},
    "resnet18": {
        "network": lambda: TorchvisionNetwork("resnet18", num_outputs=2, image_size=16),
        "class_path": "lit_lossopt.networks.TorchvisionNetwork",
        "init_args": {"name": "resnet18", "weights": "DEFAULT"},
    },
    "grey, resized": {
        "network": lambda: TorchvisionNetwork("shufflenet_v2_x0_5", None, 40, 1, 16, 2),
        "class_path": "lit_lossopt.networks.TorchvisionNetwork",
        "init_args": {"name": "shufflenet_v2_x0_5", "input_size": 40},
        "channels": 1,
    },
}
DEFAULT = {("one logit", ".pt2"), ("resnet18", ".onnx")}
CASES = [
    pytest.param(name, ending, marks=() if (name, ending) in DEFAULT else pytest.mark.slow)
    for name in NETWORKS
    for ending in ENDINGS
]


@pytest.mark.parametrize(("name", "ending"), CASES)
def test_networks_with_norms_and_of_torchvision_are_exported(name: str, ending: str, tmp_path: Path) -> None:
    options = dict(NETWORKS[name])
    torch.manual_seed(0)
    network = options.pop("network")()
    for norm in (part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.uniform_(-0.1, 0.1)
        norm.running_var.uniform_(0.5, 2)
    checkpoint = write_network(tmp_path / "a.ckpt", network, classes=("cat", "dog"), **options)
    path = Path(f"model{ending}")
    assert main(["export", str(checkpoint), "--to", str(path)]) == 0
    images = torch.randint(0, 256, (5, options.get("channels", 3), 16, 16), dtype=torch.uint8)
    expected = load(checkpoint).outputs(images)
    torch.testing.assert_close(RUN[ending](path, images), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_graph_that_computes_something_else_is_not_kept(
    ending: str, digits_run: FinishedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = FORMATS[ending].write

    def write(model: TrainedClassifier, graph: Any, outputs: Any, path: Path) -> None:
        with torch.no_grad():
            graph.network.linear2.bias[3] += 0.01
        honest(model, graph, outputs, path)

    monkeypatch.setitem(FORMATS, ending, Format(write, FORMATS[ending].read, FORMATS[ending].reader))
    path = Path(f"model{ending}")
    path.write_text("older")
    assert main(["export", str(digits_run.folder), "--to", str(path), "--overwrite"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(rf"lossopt: --to model{ending}: not kept, .* outputs differ by 0.01 at most .*\n", shown.err)
    assert here() == [path.name]
    assert path.read_text() == "older"


# An ONNX file takes seconds to make; that its check looks is seen above.
@pytest.mark.parametrize("ending", [pytest.param(".onnx", marks=pytest.mark.slow), ".pt2", ".safetensors"])
def test_a_file_that_was_altered_is_not_kept(
    ending: str, digits_run: FinishedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = FORMATS[ending].write

    def write(model: TrainedClassifier, graph: Any, outputs: Any, path: Path) -> None:
        honest(model, graph, outputs, path)
        weights = graph.network.linear2.weight.numpy().tobytes()
        content = path.read_bytes()
        assert content.count(weights) == 1
        path.write_bytes(content.replace(weights, weights[::-1]))

    monkeypatch.setitem(FORMATS, ending, Format(write, FORMATS[ending].read, FORMATS[ending].reader))
    assert main(["export", str(digits_run.folder), "--to", f"model{ending}"]) == 2
    assert capsys.readouterr().err.startswith(f"lossopt: --to model{ending}: not kept, ")
    assert here() == []


@pytest.mark.parametrize(
    ("exported", "message"),
    [
        (lambda images: images.flatten(1)[:, :3].float() * float("nan"), ""),
        (lambda images: images.flatten(1)[:, :3].float() * 1.001, ""),
        (lambda images: images.flatten(1)[:, :4].float(), r"answers \[1, 4\] to a batch of 1, not \[1, 3\]"),
        (lambda images: images.reshape(2, -1)[:, :3].float(), r"answers \[2, 3\] to a batch of 1"),
        (lambda images: images.reshape(-1, 7), "refuses a batch of 1"),
    ],
)
def test_agreement_is_refused(exported: Callable[[Tensor], Tensor], message: str) -> None:
    def trained(images: Tensor) -> Tensor:
        return images.flatten(1)[:, :3].float()

    assert agreement(trained, trained, (1, 4, 4)).holds
    if not message:
        assert not agreement(exported, trained, (1, 4, 4)).holds
        return
    with pytest.raises(Exception, match=message):
        agreement(exported, trained, (1, 4, 4))


def test_a_network_that_torch_cannot_export_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "branching.py").write_text(UNEXPORTABLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    network = torch.nn.Module()
    network.last = torch.nn.Linear(3, 3)
    checkpoint = str(write_network(tmp_path / "a.ckpt", network, "branching.Branching"))
    for ending in (".pt2", ".onnx"):
        assert main(["export", checkpoint, "--to", f"m{ending}", "--allow-import=branching"]) == 2
        shown = capsys.readouterr().err
        assert f"m{ending}: torch cannot export this network" in shown
        assert shown.count("\n") == 1
    assert main(["export", checkpoint, "--to", "m.safetensors", "--allow-import=branching"]) == 0
    assert main(["export", checkpoint, "--to", "n.safetensors"]) == 2
    assert "importing branching is not allowed" in capsys.readouterr().err
    assert not list(Path().glob(".part*"))
    monkeypatch.delitem(sys.modules, "branching")


TYPED_WRONG = [
    ("x", "name the file with --to FILE"),
    ("--to a.onnx", "the following arguments are required: RUN"),
    ("x y --to a.onnx", "unrecognized arguments: y"),
    ("x --ot a.onnx", "unrecognized arguments: --ot"),
    ("x --to a.pt", "no format has that ending .did you mean '.pt2'"),
    ("x --to model", "no format has that ending; there are: .safetensors, .onnx, .pt2"),
    ("x --to a.safetensors --outputs probabilities", "holds weights and no graph"),
    ("x --to a.onnx --which first", "invalid choice: 'first'"),
    ("x --to gone/a.onnx", "its folder does not exist"),
    ("x --to there.onnx", "exists; replace it with --overwrite"),
    ("x --to folder.onnx --overwrite", "a folder"),
    ("x --to a.onnx", "x: neither a file nor a folder, and there is no tracking store"),
    ("hinge.ckpt --to a.onnx --outputs probabilities", "HingeLoss implies none; take --outputs logits"),
    ("hinge.ckpt --log", "does not say which run it belongs to"),
    ("noise.ckpt --to a.onnx", "noise.ckpt: not a whole checkpoint"),
    ("noise.safetensors --to a.onnx", "not a whole file of safetensors"),
]


@pytest.mark.parametrize(("typed", "message"), TYPED_WRONG, ids=[typed for typed, _ in TYPED_WRONG])
def test_what_is_typed_wrong_is_one_line(typed: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("there.onnx").touch()
    Path("folder.onnx").mkdir()
    Path("noise.ckpt").write_bytes(bytes(999))
    Path("noise.safetensors").write_bytes(bytes(999))
    write_network(Path("hinge.ckpt"), MiniCNN(3, 16, 3), criterion="lit_lossopt.losses.HingeLoss")
    assert main(["export", *typed.split()]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search(message, shown.err)
    assert shown.err.count("\n") == 1
    assert not Path("a.onnx").exists()


@pytest.mark.parametrize(("package", "ending"), [("onnxruntime", ".onnx"), ("safetensors", ".safetensors")])
def test_missing_packages_name_the_install_line(
    package: str, ending: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", "x", "--to", f"a{ending}"]) == 2
    assert f"{package} not installed; pip install 'lit_lossopt[export]'\n" in capsys.readouterr().err
    if package == "safetensors":
        Path("old.safetensors").touch()
        assert main(["export", "old.safetensors", "--to", "a.pt2"]) == 2
        assert "pip install 'lit_lossopt[export]'" in capsys.readouterr().err


def test_a_disk_that_does_not_take_it_is_one_line(
    digits_run: FinishedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert main(["export", str(digits_run.folder), "--to=a.safetensors"]) == 2
    assert capsys.readouterr().err == "lossopt: --to a.safetensors: cannot be written (No space left on device)\n"
    assert here() == []


def test_a_model_is_logged_in_its_run(
    in_its_store: FinishedRun, digits: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    client, run = MlflowClient(), in_its_store
    before, points = client.get_run(run.run_id), client.get_metric_history(run.run_id, "val/accuracy")
    assert main(["export", run.run_id[:8], "--log", "--outputs=probabilities"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "read back by mlflow.pyfunc.load_model: outputs differ by" in second
    after = client.get_run(run.run_id)
    assert (after.info.status, after.info.end_time) == (before.info.status, before.info.end_time)
    assert after.data.params == before.data.params
    assert len(client.get_metric_history(run.run_id, "val/accuracy")) == len(points)
    assert after.outputs is not None
    address = first.partition(": ")[0]
    assert [f"models:/{model.model_id}" for model in after.outputs.model_outputs] == [address]
    logged = client.get_logged_model(address.removeprefix("models:/"))
    assert (logged.status, logged.source_run_id) == ("READY", run.run_id)
    assert logged.experiment_id == before.info.experiment_id
    model = mlflow.pyfunc.load_model(address)
    expected = load(run.run_id)(digits).probabilities
    assert expected is not None
    np.testing.assert_allclose(model.predict(digits.numpy()), expected.numpy(), rtol=1e-4, atol=1e-6)
    assert model.metadata.signature.inputs.to_dict()[0]["tensor-spec"] == {"dtype": "uint8", "shape": (-1, 1, 8, 8)}
    assert json.loads(model.metadata.metadata["classes"]) == list("0123456789")
    with pytest.raises(mlflow.MlflowException, match="shape"):
        model.predict(digits[:, :, :4].numpy())
    files = {path.name for path in Path(mlflow.artifacts.download_artifacts(address)).rglob("*") if path.is_file()}
    assert "model.pt2" in files
    assert not [name for name in files if name.endswith((".pkl", ".pth", ".py"))]


def test_a_logged_model_that_computes_something_else_is_deleted(
    in_its_store: FinishedRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = TrainedClassifier.graph
    client = MlflowClient()
    experiment = client.get_run(in_its_store.run_id).info.experiment_id
    before = {model.model_id for model in client.search_logged_models([experiment])}

    def graph(self: TrainedClassifier, outputs: Any = "logits") -> Any:
        found = honest(self, outputs)
        found.shift += 0.1
        return found

    monkeypatch.setattr(TrainedClassifier, "graph", graph)
    assert main(["export", in_its_store.run_id, "--log"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("lossopt: --log: not kept, read back by mlflow.pyfunc.load_model its outputs differ")
    assert {model.model_id for model in client.search_logged_models([experiment])} == before


@pytest.mark.usefixtures("store")
def test_a_store_without_the_run_does_not_take_its_model(
    digits_run: FinishedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(digits_run.folder), "--log"]) == 2
    shown = capsys.readouterr().err
    assert re.fullmatch(
        rf"lossopt: --log: sqlite:.* does not take the model \(.*has no run {digits_run.run_id}\)\n", shown
    )
