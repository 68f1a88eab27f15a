"""A small sweep with its page and JSON, of which each test gets a copy."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lit_lossopt.__main__ import main

PLAN = {
    "experiment": "small",
    "protocol": "grid",
    "base": {"config": "small.yaml"},
    "factors": {
        "optimizer": {
            "adam": {"model.optimizer": "Adam", "model.optimizer.lr": 0.01},
            "sgd": {"model.optimizer": "SGD", "model.optimizer.lr": 0.05},
        }
    },
    "seeds": 3,
}
SETTINGS = {
    "data": "DigitsDataModule",
    "trainer": {"max_epochs": 1, "val_check_interval": 0.25, "limit_train_batches": 8},
}


@dataclass(frozen=True)
class SmallSweep:
    """A sweep of two optimizers with three seeds each, and what it has written."""

    home: Path

    @property
    def page(self) -> Path:
        """The page."""
        return self.home / "page.html"

    @property
    def record(self) -> Path:
        """The JSON."""
        return self.home / "record.json"

    def tree(self) -> dict[str, Any]:
        """Return what the JSON says."""
        found: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
        return found

    def rewrite(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the JSON."""
        tree = self.tree()
        change(tree)
        self.record.write_text(json.dumps(tree), encoding="utf-8")

    def in_the_store(self, statement: str, *values: object) -> None:
        """Change the store as anybody could who has the file."""
        connection = sqlite3.connect(self.home / "mlflow.db")
        with connection:
            assert connection.execute(statement, values).rowcount > 0
        connection.close()

    def write_again(self, *more: str) -> None:
        """Compare what the store says now."""
        words = ["--experiment", "small", "--html", str(self.page), "--json", str(self.record)]
        assert main(["compare", *words, *more]) in (0, 5)

    def artifact(self, run_id: str, name: str) -> Path:
        """Return a file of a run."""
        return self.home / "mlruns" / "small" / run_id / "artifacts" / name


@pytest.fixture(scope="session")
def finished_sweep(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """Return the folder of a sweep that has ended."""
    home = tmp_path_factory.mktemp("small_sweep")
    shutil.copy(empty_store, home / "mlflow.db")
    (home / "plan.yaml").write_text(yaml.safe_dump({"sweep": PLAN}, sort_keys=False))
    (home / "small.yaml").write_text(yaml.safe_dump(SETTINGS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        words = ["--engine", "here", "--html", "page.html", "--json", "record.json"]
        assert main(["sweep", "--config", "plan.yaml", *words]) == 0
    return home


@pytest.fixture
def small_sweep(finished_sweep: Path, tmp_path: Path) -> SmallSweep:
    """Return a copy of that sweep in the working folder. Each test may spoil its own."""
    shutil.copytree(finished_sweep, tmp_path, dirs_exist_ok=True)
    return SmallSweep(tmp_path)
