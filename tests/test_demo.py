from __future__ import annotations

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.tracking.runs import read_runs
from tests.stored import stored_points


@pytest.mark.usefixtures("store")
def test_the_demo_trains_four_optimizers_and_shows_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--epochs", "2"]) == 0
    shown = capsys.readouterr().out
    runs = read_runs("demo")
    assert [run.params["optimizer"] for run in runs] == ["SGD", "SGD", "Adam", "RMSprop"]
    for run in runs:
        assert len(stored_points(run.run_id, "train/loss").steps) == 40
        assert f"{run.metrics['val/accuracy']:.3f}" in shown
    assert "mlflow ui" in shown
