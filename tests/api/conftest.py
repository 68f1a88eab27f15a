"""A small sweep that several tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lit_lossopt import Comparison, sweep
from tests.support.plans import TWO_ARMS


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Path, Comparison]:
    """Return a folder with a small sweep, and what came of it."""
    import shutil

    home = tmp_path_factory.mktemp("api")
    shutil.copy(empty_store, home / "mlflow.db")
    plan = {**TWO_ARMS, "learning_rates": None, "protocol": "grid", "seeds": 3, "experiment": "mine"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        settings: dict[str, Any] = {"engine": "here", "trainer.limit_train_batches": 6}
        found = sweep({key: value for key, value in plan.items() if value is not None}, **settings)
    return home, found
