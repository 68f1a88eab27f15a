from __future__ import annotations

from collections import Counter

import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_runs


def test_the_demo_is_the_quick_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert main(["sweep", "--config", "sweep_quick", "--dry-run"]) == 0
    assert shown == capsys.readouterr().out
    assert "44 trials: 12 tuning trials, 32 repeats" in shown


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_the_demo_runs(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    runs = [run for run in read_runs("sweep_quick") if names.TAG_PHASE in run.tags]
    arms = Counter(run.tags[names.TAG_SWEEP_ARM] for run in runs if run.tags[names.TAG_PHASE] == "repeat")
    assert arms == {"sgd": 8, "momentum": 8, "adam": 8, "rmsprop": 8}
    assert f"{len(runs)} of {len(runs)} trials have results" in capfd.readouterr().out
    # Its page holds, and what it shows can be made again.
    assert main(["verify", "mlruns/sweeps/sweep_quick.html"]) == 0
    assert capfd.readouterr().out.count("are the same to the bit") == 3
