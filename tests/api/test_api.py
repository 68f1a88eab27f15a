"""Trainings, sweeps and comparisons from Python: what comes back, what is recorded, and what is refused."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lit_lossopt
from lit_lossopt import Comparison, Run, UserError, compare, fit, load
from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.data import ArrayDataModule
from lit_lossopt.tracking.reading.runs import read_runs
from tests.conftest import FinishedRun

SHORT: Any = {"trainer.max_epochs": 1, "trainer.limit_train_batches": 6, "threads": 1}
IMAGES = torch.randint(0, 255, (120, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(120) % 3


class Net(nn.Module):
    """A network of one layer."""

    def __init__(self, in_channels: int, image_size: int, num_outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_channels * image_size**2, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return the outputs."""
        outputs: Tensor = self.layer(images.flatten(1))
        return outputs


def of_the_command_line(*words: str) -> np.ndarray[Any, Any]:
    """Return the losses of a run that the command line has trained."""
    assert main(["fit", *words, "--tracking.experiment=typed"]) == 0
    (run,) = read_runs("typed", metrics=None)
    return run.histories[names.TRAIN_LOSS].values


@pytest.mark.usefixtures("store")
def test_a_training_is_that_of_the_command_line_twice_in_a_row() -> None:
    first, second = (fit("adam", data="digits", seed=3, **{**SHORT, "model.optimizer.lr": 0.01}) for _ in range(2))
    words = ["--config", "adam", "--config", "digits", "--model.optimizer.lr=0.01", "--seed_everything=3"]
    flags = [f"--{key}={value}" for key, value in SHORT.items()]
    typed = of_the_command_line(*words, *flags)
    assert first.run_id != second.run_id
    assert first.verdict == second.verdict == "completed"
    np.testing.assert_array_equal(first.losses, typed)
    np.testing.assert_array_equal(second.losses, typed)
    assert first.params["optimizer.lr"] == "0.01"
    assert json.loads(first.tags[names.TAG_COMMAND])[:3] == ["fit", "--config", "adam"]


def test_a_run_is_immutable_and_shows_itself(in_its_store: FinishedRun) -> None:
    run = Run.read(in_its_store.run_id[:8])
    with pytest.raises(ValueError, match="read-only"):
        run.losses[0] = 1.0
    with pytest.raises(AttributeError):
        run.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        run.params["optimizer"] = "other"  # type: ignore[index]
    frame = run.to_frame()
    assert list(frame.columns) == ["metric", "step", "value"]
    assert frame[frame.metric == names.TRAIN_LOSS].value.tolist() == run.losses.tolist()
    assert repr(run) == f"Run({in_its_store.run_id!r}, {run.name!r}, completed)"
    shown = run._repr_html_()
    assert "completed" in shown
    assert 'src="data:image/png;base64,' in shown
    assert "<script" not in shown
    assert run.figure("loss").data
    with pytest.raises(UserError, match=r"figure 'los': there is none \(did you mean 'loss'\?\); there are: "):
        run.figure("los")
    run.save("run.html")
    assert "<title>" in Path("run.html").read_text(encoding="utf-8")


def test_a_sweep_is_compared(compared: tuple[Path, Comparison], monkeypatch: pytest.MonkeyPatch) -> None:
    home, found = compared
    assert {arm.name.split()[0] for arm in found.arms} == {"sgd", "adam"}
    assert found.record["request"]["runs"]
    frame = found.to_frame()
    assert len(frame) == 6
    assert sorted(frame.final) == sorted(trial.final for arm in found.arms for trial in arm.trials)
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    again = compare("mine", by=["optimizer"], all_pairs=True, target=0.3)
    assert {arm.name for arm in again.arms} == {"SGD", "Adam"}
    assert again.record["question"]["target"] == 0.3
    again.save("mine.html")
    assert main(["verify", "mine.html", "--sample", "0"]) == 0


def test_a_comparison_shows_itself(compared: tuple[Path, Comparison]) -> None:
    _, found = compared
    shown = found._repr_html_()
    assert found.words[0] in shown
    assert shown.count("<tr>") == 3
    assert 'src="data:image/png;base64,' in shown
    assert "<script" not in shown
    for name in found.record["captions"]:
        assert found.figure(name).data, name
    assert repr(found).startswith("Comparison('")
    with pytest.raises(AttributeError):
        found._shown = None  # type: ignore[misc,assignment]
    with pytest.raises(ValueError, match="read-only"):
        found.arms[0].trials[0].curve.values[0] = 1.0
    # What a program does with a copy changes no page.
    dict(found.record)["answer"][:] = ["sgd is best."]
    assert found.record["answer"][0] == found.words[0]


@pytest.mark.usefixtures("store")
def test_objects_train_and_are_recorded_by_class_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    def momentum(params: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=0.05, momentum=0.9)

    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    run = fit(data=(IMAGES, LABELS), network=Net, criterion=loss, optimizer=momentum, seed=4, **SHORT)
    assert run.verdict == "completed"
    assert (run.params["network"], run.params["criterion"], run.params["optimizer"]) == (
        "Net",
        "CrossEntropyLoss",
        "momentum",
    )
    assert (run.params["optimizer.lr"], run.params["optimizer.momentum"]) == ("0.05", "0.9")
    assert run.params["parameters"] == str(3 * (64 + 1))
    assert run.name == "momentum CrossEntropyLoss Net seed=4"
    keys = json.loads(run.tags[names.TAG_GIVEN])
    assert sorted(key.rpartition("-")[0] for key in keys) == ["CrossEntropyLoss", "Net", "momentum", "tuple"]
    source = Path(f"mlruns/lit_lossopt/{run.run_id}/artifacts/{names.GIVEN_ARTIFACT}").read_text()
    assert "A network of one layer." in source
    assert "label_smoothing=0.1" in source or "CrossEntropyLoss()" in source
    assert "has handed over" in run.tags[names.TAG_DESCRIPTION]
    # Nobody else can make it again, and whoever tries is told.
    assert main(["compare", "--json", "one.json"]) == 0
    assert main(["verify", "one.json"]) == 0
    assert "it trains objects that a Python program has handed over" in capsys.readouterr().out


@pytest.mark.usefixtures("store")
def test_nothing_that_was_handed_over_is_kept() -> None:
    from lit_lossopt.core.given import _GIVEN

    before = dict(_GIVEN)
    fit(data=(IMAGES, LABELS), network=Net, **SHORT)
    with pytest.raises(UserError):
        fit("adma", data=(IMAGES, LABELS), network=Net)
    assert before == _GIVEN


@pytest.mark.usefixtures("store")
def test_a_run_that_was_never_evaluated_is_shown() -> None:
    run = fit("adam", data="digits", **{**SHORT, "trainer.limit_val_batches": 0})
    assert "completed" in run._repr_html_()
    assert "<img" not in run._repr_html_()


@pytest.mark.usefixtures("store")
def test_an_object_and_its_name_train_alike() -> None:
    by_name = fit("sgd_momentum", data="digits", **SHORT)
    lr = float(by_name.params["optimizer.lr"])

    def same(params: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=lr, momentum=0.9)

    by_object = fit(data="digits", criterion=nn.CrossEntropyLoss(), optimizer=same, **SHORT)
    np.testing.assert_array_equal(by_object.losses, by_name.losses)


@pytest.mark.usefixtures("store")
def test_a_built_network_begins_each_run_with_its_own_weights() -> None:
    torch.manual_seed(7)
    network = Net(1, 8, 3)
    before = network.layer.weight.detach().clone()
    data = ArrayDataModule(IMAGES, LABELS, seed=2)
    first, second = (fit(data=data, network=network, seed=2, **SHORT) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)
    assert torch.equal(network.layer.weight, before)
    with pytest.raises(UserError, match="the data module was built with seed 2, and the run has seed 3"):
        fit(data=data, network=network, seed=3, **SHORT)


def test_keys_tell_objects_apart_by_what_they_are() -> None:
    from lit_lossopt.core.given import give, given

    def rate(lr: float) -> Any:
        return lambda params: torch.optim.SGD(params, lr=lr)

    assert give(rate(0.1)) == give(rate(0.1)) != give(rate(0.2))
    assert give(nn.CrossEntropyLoss()) != give(Net)
    # Large arrays show only their ends, and networks none of their weights.
    images = torch.zeros(200, 3, 8, 8, dtype=torch.uint8)
    other = images.clone()
    other[100, 1, 4, 4] = 1
    assert repr(images) == repr(other)
    assert give((images, LABELS)) == give((images.clone(), LABELS)) != give((other, LABELS))
    assert give((images.numpy(), LABELS)) == give((images.numpy().copy(), LABELS)) != give((other.numpy(), LABELS))
    assert give(Net(1, 8, 3)) != give(Net(1, 8, 3))
    assert given(give(Net)).value is Net
    with pytest.raises(UserError, match="run that program again"):
        given("Net-0123456789ab")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such config": ({"config": "adma"}, "did you mean 'adam'"),
    "no such key": ({"config": "adam", "model.optimiser.lr": 0.1}, "model.optimiser"),
    "a wrong value": ({"config": "adam", "data": "digits", "trainer.max_epochs": "many"}, "trainer.max_epochs"),
    "no value": ({"config": "adam", "trainer.max_epochs": object()}, "trainer.max_epochs: object is no value"),
    "no record": ({"config": "adam", "data": "digits", "tracking": False, **SHORT}, "tracking=false from the"),
    "several devices": ({"config": "adam", "data": "digits", "trainer.devices": 2}, "takes one device"),
}  # fmt: skip


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_one_line(case: str) -> None:
    settings, said = REFUSED[case]
    with pytest.raises(UserError) as error:
        fit(**settings)
    assert said in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.usefixtures("store")
def test_a_run_that_diverges_is_returned() -> None:
    run = fit("sgd", data="digits", **{**SHORT, "model.optimizer.lr": 1e9, "trainer.limit_train_batches": 1.0})
    assert run.verdict == "diverged"
    assert run._repr_html_()


def test_no_submodule_hides_a_function() -> None:
    for module in pkgutil.walk_packages(lit_lossopt.__path__, "lit_lossopt."):
        if not module.name.endswith("__main__") and "keras" not in module.name:
            importlib.import_module(module.name)
    for name in ("fit", "sweep", "compare", "load"):
        assert callable(getattr(lit_lossopt, name)), name
    assert lit_lossopt.load is load


def test_the_import_alone_is_light() -> None:
    code = "import sys, lit_lossopt; lit_lossopt.UserError; print({'torch', 'mlflow', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
