"""No test can touch a person's own runs: each has its own working folder and its own, empty store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.killing.zygote import Zygote
from lit_lossopt.tracking.store_process import kept_process

CLASSES = ("cat", "dog", "frog")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh MLflow database; making one takes seconds, copying it none."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session", autouse=True)
def _one_store_process() -> Iterator[None]:
    # Each would import MLflow anew.
    with kept_process():
        yield


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("LOSSOPT_TRACEBACK", raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Path:
    """Return the store of this test, ready for runs."""
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of small images, three classes that differ in colour, in the layout of image folders."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 8)):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 120, (32, 32, 3), dtype=np.uint8)
                pixels[..., label] += 100
                Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return root


@pytest.fixture(scope="session")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of weights of ResNet-18, 1000 classes, as torchvision would fetch it."""
    from torchvision import models

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), path)
    return path


@dataclass(frozen=True)
class FinishedRun:
    """A run of three epochs on the digits: where it ran, its id, and its store."""

    home: Path
    run_id: str
    uri: str

    @property
    def folder(self) -> Path:
        """Its artifacts."""
        return self.home / "mlruns" / "lit_lossopt" / self.run_id / "artifacts"

    @property
    def checkpoints(self) -> Path:
        """Its checkpoints."""
        return self.folder / "checkpoints"


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> FinishedRun:
    """Return a run that several tests read; its store is used only by those that ask for it."""
    from lit_lossopt.__main__ import main

    home = tmp_path_factory.mktemp("digits_run")
    shutil.copy(empty_store, home / "mlflow.db")
    uri = f"sqlite:///{home}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        command = ["fit", "--config", "adam", "--config", "digits", "--trainer.max_epochs=3", "--threads=1"]
        assert main([*command, "--model.optimizer.lr=0.01"]) == 0
    (folder,) = (home / "mlruns" / "lit_lossopt").iterdir()
    return FinishedRun(home, folder.name, uri)


@pytest.fixture
def in_its_store(digits_run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> FinishedRun:
    """Return that run; its store is the one that is asked."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", digits_run.uri)
    return digits_run


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Return what starts processes of the program that can be killed."""
    one = Zygote()
    yield one
    one.close()


CONTRACTS = ("losses", "guard", "optimizers_contract", "schedules", "resolved_configs")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much each contract covered: its table's rows times what is asked of each."""
    passed = [report.nodeid for report in terminalreporter.stats.get("passed", [])]
    counts = {name: sum(f"/test_{name}.py::" in node for node in passed) for name in CONTRACTS}
    shown = ", ".join(f"{name.removesuffix('_contract')} {count}" for name, count in counts.items() if count)
    if shown:
        terminalreporter.write_line(f"contract tests passed: {shown}")
