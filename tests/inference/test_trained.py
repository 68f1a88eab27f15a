"""Trained networks from Python: what a run, a folder or a file is, what images are, and what is refused."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonargparse
import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient
from PIL import Image

from lit_lossopt import TrainedClassifier, load
from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.data import DigitsDataModule, ImageFolderDataModule
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.tracking.artifacts import artifact_folder
from tests.conftest import FinishedRun
from tests.support.mlflow_ui import mlflow_ui
from tests.support.saved_networks import write_network

OWN_NETWORK = """
import torch
from pathlib import Path
from torch import nn

Path("imported").touch()

class Tiny(nn.Module):
    def __init__(self, in_channels: int, num_outputs: int, width: tuple[int, int] = (2, 3)) -> None:
        super().__init__()
        self.width = width
        self.last = nn.Linear(in_channels, num_outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(images.mean(dim=(2, 3)))
"""


@pytest.fixture
def colour(tmp_path: Path) -> Path:
    """Return a checkpoint of a network of colour images, squashed to 16 pixels; its folder of images is gone."""
    data = {"class_path": "lit_lossopt.data.ImageFolderDataModule"}
    arguments = {"folder": "gone", "size": 16, "resize": "squash", "max_pixels": 5000}
    torch.manual_seed(0)
    return write_network(tmp_path / "colour.ckpt", MiniCNN(3, 16, 3), data={**data, "init_args": arguments})


def test_a_run_predicts_as_the_command_line_does(in_its_store: FinishedRun) -> None:
    run = in_its_store
    best = run.checkpoints / "best.ckpt"
    assert main(["predict", "--config", str(run.folder / "config.yaml"), "--ckpt_path", str(best)]) == 0
    with Path("predictions.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    model = load(run.run_id)
    predicted = model(DigitsDataModule().read("test").images)
    assert predicted.names == [row[1] for row in rows]
    assert predicted.probabilities is not None
    expected = np.array([[float(value) for value in row[2:]] for row in rows])
    np.testing.assert_allclose(predicted.probabilities.numpy(), expected, rtol=2e-5, atol=1e-7)
    assert predicted.labels.tolist() == predicted.probabilities.argmax(1).tolist()
    assert model.classes == tuple("0123456789")
    assert model.image_shape == (1, 8, 8)
    assert model.config["model"]["optimizer"]["init_args"]["lr"] == 0.01
    assert not model.network.training


def test_a_run_is_an_id_its_beginning_a_folder_or_a_file(in_its_store: FinishedRun) -> None:
    run = in_its_store
    for name in (run.run_id, run.run_id[:7], run.folder.parent, run.folder, run.checkpoints):
        model = load(name)
        assert (model.saved.run, model.saved.path.name) == (run.run_id, "best.ckpt")
        model = load(name, "last")
        assert (model.saved.step, model.saved.path.name) == (60, "last.ckpt")
    assert load(run.checkpoints / "last.ckpt").saved.step == 60


def test_loading_draws_no_random_numbers_and_leaves_the_parser_as_it_was(colour: Path) -> None:
    settings = dict(jsonargparse._common.parsing_settings)
    before = torch.get_rng_state()
    load(colour)
    assert torch.equal(torch.get_rng_state(), before)
    assert jsonargparse._common.parsing_settings == settings


def test_loading_needs_neither_lightning_nor_for_a_file_mlflow(colour: Path) -> None:
    check = (
        "import lit_lossopt, sys; assert 'torch' not in sys.modules; lit_lossopt.load(sys.argv[1]); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check, str(colour)], capture_output=True, text=True, check=True)
    assert not {"lightning", "torchmetrics", "sklearn", "mlflow"} & set(done.stdout.split())


def test_pixels_are_arrays_images_or_files(colour: Path, image_folder: Path) -> None:
    model = load(colour)
    data = ImageFolderDataModule(image_folder, size=16, resize="squash")
    pixels = data.read("test").images
    files = sorted((image_folder / "test").rglob("*.png"))
    assert torch.equal(model.pixels(files), pixels)
    opened = [Image.open(file) for file in files]
    assert torch.equal(model.pixels(opened), pixels)
    assert torch.equal(model.pixels([str(files[0]), opened[1]]), pixels[:2])
    assert torch.equal(model.pixels(files[0]), pixels[:1])
    assert torch.equal(model.pixels(pixels.numpy()), pixels)
    assert model(opened[0]).names == model(pixels[:1]).names


def test_many_images_are_as_good_as_few(colour: Path) -> None:
    model = load(colour)
    images = torch.randint(0, 256, (600, 3, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(model.outputs(images)[500:], model.outputs(images[500:]))
    assert model.outputs(images[:0]).shape == (0, 3)
    values = images[:9].float() * model.saved.scale.view(1, 3, 1, 1) + model.saved.shift.view(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model.outputs(images[:9]), model.network(values))


def odd_images(tmp_path: Path) -> dict[str, tuple[Any, str]]:
    (tmp_path / "empty.png").touch()
    return {
        "floats": (torch.rand(1, 3, 16, 16), r"torch.float32 .*uint8 pixels \[N, 3, 16, 16\]; for floats"),
        "size": (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"\[1, 3, 8, 8\], but this network takes"),
        "one": (torch.zeros(3, 16, 16, dtype=torch.uint8), r"\[3, 16, 16\], but"),
        "none": ([], "images: an empty list"),
        "kind": ([3], "images: int: neither pixels"),
        "empty": (tmp_path / "empty.png", "empty.png: an empty file"),
        "missing": ("missing.png", "missing.png: .*No such file"),
        "large": (Image.new("RGB", (100, 51)), "more than max_pixels=5000"),
        "unclear": (Image.new("F", (16, 16)), "32-bit pixels"),
    }


@pytest.mark.parametrize("case", ["floats", "size", "one", "none", "kind", "empty", "missing", "large", "unclear"])
def test_other_images_are_refused_in_one_line(case: str, colour: Path, tmp_path: Path) -> None:
    images, message = odd_images(tmp_path)[case]
    with pytest.raises(UserError, match=message) as error:
        load(colour)(images)
    assert "\n" not in str(error.value)


def test_images_of_one_channel_are_given_as_pixels(digits_run: FinishedRun) -> None:
    with pytest.raises(UserError, match=r"images of 1 channels.*give uint8 pixels \[N, 1, 8, 8\]"):
        load(digits_run.folder)(Image.new("L", (8, 8)))


def test_a_loss_that_implies_no_probabilities_gives_none(tmp_path: Path) -> None:
    path = write_network(tmp_path / "hinge.ckpt", MiniCNN(3, 16, 3), criterion="lit_lossopt.losses.HingeLoss")
    predicted = load(path)(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
    assert predicted.probabilities is None
    assert set(predicted.names) <= {"cat", "dog", "frog"}


def test_one_logit_for_two_classes(tmp_path: Path) -> None:
    network, loss = MiniCNN(3, 16, 1), "torch.nn.BCEWithLogitsLoss"
    model = load(write_network(tmp_path / "binary.ckpt", network, criterion=loss, classes=("cat", "dog")))
    images = torch.randint(0, 256, (50, 3, 16, 16), dtype=torch.uint8)
    predicted = model(images)
    assert predicted.probabilities is not None
    assert predicted.probabilities.shape == (50, 2)
    assert predicted.labels.tolist() == (model.outputs(images)[:, 0] > 0).long().tolist()


def test_pretrained_weights_are_not_fetched_again(tmp_path: Path) -> None:
    from torchvision import models

    torch.manual_seed(0)
    network = torch.nn.Module()
    network.model = resnet = models.resnet18(num_classes=3)
    arguments = {"name": "resnet18", "weights": "a_file_that_is_gone.pth"}
    model = load(write_network(tmp_path / "r.ckpt", network, "lit_lossopt.networks.TorchvisionNetwork", arguments))
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    values = images * model.saved.scale.view(1, 3, 1, 1) + model.saved.shift.view(1, 3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(model.outputs(images), resnet.eval()(values), rtol=1e-4, atol=1e-5)


def test_networks_of_other_packages_must_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mynets.py").write_text(OWN_NETWORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    network = torch.nn.Module()
    network.last = torch.nn.Linear(3, 3)
    path = write_network(tmp_path / "own.ckpt", network, "mynets.Tiny", {"width": [4, 5]})
    with pytest.raises(UserError, match=r"importing mynets is not allowed .*--allow-import mynets"):
        load(path)
    assert not Path("imported").exists()
    model = load(path, allow=["mynets"])
    assert model.network.width == (4, 5)
    assert torch.equal(model.network.state_dict()["last.weight"], network.last.weight)
    monkeypatch.delitem(sys.modules, "mynets")


def test_damaged_files_are_one_line_and_the_last_has_one_before_it(digits_run: FinishedRun, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    shutil.copytree(digits_run.checkpoints, folder)
    with (folder / "last.ckpt").open("r+b") as file:
        file.truncate(5000)
    with pytest.warns(Notice, match=r"last.ckpt: not a whole checkpoint.*the checkpoint before it is used"):
        assert load(tmp_path, "last").saved.path.name == "last.previous.ckpt"
    (folder / "last.ckpt").unlink()
    with pytest.warns(Notice, match="last.ckpt cannot be read"):
        load(tmp_path, "last")
    (folder / "last.previous.ckpt").write_bytes(b"PK")
    with pytest.raises(UserError, match="the checkpoint before it cannot be used either"):
        load(tmp_path, "last")
    (folder / "best.ckpt").write_bytes((folder / "best.ckpt").read_bytes()[::-1])
    with pytest.raises(UserError, match=r"^\S*best.ckpt: not a whole checkpoint"):
        load(tmp_path)
    (folder / "best.ckpt").unlink()
    with pytest.raises(UserError, match=r"no best.ckpt in .*; it holds last.previous.ckpt"):
        load(folder)


@pytest.mark.parametrize(
    ("missing", "message"), [("lossopt_config", "which network"), ("AnyDataModule", "lacks the classes")]
)
def test_a_checkpoint_that_does_not_say_enough(missing: str, message: str, colour: Path) -> None:
    content = torch.load(colour, weights_only=True)
    del content[missing]
    torch.save(content, colour)
    with pytest.raises(UserError, match=message):
        load(colour)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "other.ckpt", MiniCNN(3, 16, 3), init_args={"hidden": 64})
    with pytest.raises(UserError, match=r"its weights do not fit its network \(.*size mismatch"):
        load(path)


def test_an_unknown_run_is_one_line_and_makes_no_store(
    digits_run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="abc: neither a file nor a folder, and there is no tracking store"):
        load("abc")
    assert not list(Path().glob("mlflow.db*"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", digits_run.uri)
    known = re.escape(f"{digits_run.run_id} (adam lr=0.01 CrossEntropyLoss seed=0)")
    with pytest.raises(UserError, match=f"xyz: no file, no folder, and no run of .*; the newest is {known}"):
        load("xyz")
    for near in (f"{digits_run.run_id[:-1]}x", "adam lr=0.01 CrossEntropyLoss seed=1"):
        with pytest.raises(UserError, match=f"did you mean {known}"):
            load(near)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"cannot be asked for it .*name a checkpoint file"):
        load("abc")


@pytest.mark.usefixtures("store")
def test_a_beginning_that_several_runs_share(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which holds none"):
        load("abc")
    client = MlflowClient()
    experiment = client.create_experiment("many", artifact_location=tmp_path.as_uri())
    ids = [client.create_run(experiment).info.run_id for _ in range(17)]
    first = [run[0] for run in ids]
    shared = next(letter for letter in first if first.count(letter) > 1)
    with pytest.raises(UserError, match=f"{shared}: several runs begin so, such as {shared}.*write more"):
        load(shared)
    with pytest.raises(UserError, match=r"there is no best.ckpt in .*; it holds no checkpoint"):
        load(ids[0])


@pytest.mark.usefixtures("store")
def test_the_weights_of_a_run_before_it_diverged() -> None:
    assert main(["fit", "--config", "sgd", "--config", "digits", "--model.optimizer.lr=1e6", "--threads=1"]) == 3
    (kept,) = Path("mlruns").rglob("last_good.ckpt")
    model = load(kept)
    assert isinstance(model, TrainedClassifier)
    assert model(DigitsDataModule().read("test").images).probabilities is not None


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Serve a store that also keeps the artifacts; yield its address."""
    with mlflow_ui(folder, "--artifacts-destination", str(folder / "remote"), "--workers", "1") as address:
        yield address


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_run_on_a_server_is_downloaded(
    digits_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_server(tmp_path) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        client = MlflowClient()
        run = client.create_run(client.create_experiment("remote")).info
        assert run.artifact_uri.startswith("mlflow-artifacts:")
        client.log_artifacts(run.run_id, str(digits_run.checkpoints), "checkpoints")
        client.log_artifacts(run.run_id, str(digits_run.folder / "pictures"), "pictures")
        before = set(tmp_path.iterdir())
        best, last = load(run.run_id[:9]).saved, load(run.run_id[:9], "last").saved
        assert (best.run, best.step) == (run.run_id, load(digits_run.folder).saved.step)
        assert (last.run, last.step) == (run.run_id, 60)
        assert set(tmp_path.iterdir()) == before
        with artifact_folder(run.run_id, "pictures") as (_, folder):
            files = {path.name for path in (digits_run.folder / "pictures").iterdir()}
            assert {path.name for path in folder.iterdir()} == files
        assert not folder.exists()
        assert main(["export", run.run_id, "--log"]) == 0
        (logged,) = client.search_logged_models([run.experiment_id])
        assert logged.source_run_id == run.run_id
