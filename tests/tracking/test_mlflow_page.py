"""MLflow's own pages in a browser: the address that a training ends with opens on training runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.killing.waiting import wait_until
from lit_lossopt.__main__ import main
from tests.comparison.test_page_browser import driver, pytestmark
from tests.support.mlflow_ui import mlflow_ui

__all__ = ["driver"]
pytestmark = [*pytestmark, pytest.mark.slow, pytest.mark.usefixtures("store")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Return the address of MLflow's own server of this test's store."""
    with mlflow_ui(tmp_path) as address:
        yield address


def test_the_address_at_the_end_opens_on_training_runs(
    server: str, driver: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", "--config=adam", "--config=digits", "--trainer.max_epochs=1", "--threads=1"]
    assert main([*words, "--tracking.run_name=a run to be seen"]) == 0
    found = re.search(r"http://127\.0\.0\.1:5000(/#/experiments/\S+)", capsys.readouterr().out)
    assert found
    driver.get(f"{server}{found[1]}")
    shown = text_with(driver, "a run to be seen")
    # The views of trainings, not those of language models.
    assert {"Runs", "Models"} <= set(shown.splitlines())
    assert "Evaluation runs" not in shown
    assert main(["compare", "--html=page.html"]) == 0
    run = re.search(r"http://127\.0\.0\.1:5000(/#/experiments/\d+/runs/[^\s\"&]+)", Path("page.html").read_text())
    assert run
    driver.get("about:blank")
    driver.get(f"{server}{run[1]}")
    shown = text_with(driver, "best/val_accuracy")
    assert "Evaluation runs" not in shown


def text_with(driver: Any, wanted: str) -> str:
    """Return the page's text once it has what is wanted."""

    def text() -> str:
        return str(driver.execute_script("return document.body ? document.body.innerText : ''"))

    return wait_until(lambda: shown if wanted in (shown := text()) else "", text, pause=0.2)
