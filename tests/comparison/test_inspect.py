"""One run, looked at closely."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from lit_lossopt.__main__ import main
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_runs
from tests.conftest import FinishedRun


def test_a_healthy_run_on_the_terminal_and_as_a_page(
    in_its_store: FinishedRun, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "run.html"
    assert main(["inspect", in_its_store.run_id[:9], "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "completed." in said
    assert "found nothing unusual" in said
    assert re.search(r"measured steps raised the loss of their own batch", said)
    layers = re.findall(r"^ (linear2|linear1|conv2|conv1) ", said, re.MULTILINE)
    assert layers == ["linear2", "linear1", "conv2", "conv1"]
    (run,) = read_runs(run_ids=[in_its_store.run_id], metrics=None)
    middle = float(torch.tensor(run.histories[f"{names.FLOW_WEIGHT}/conv1"].values).quantile(0.5))
    assert f"{middle:.3g}" in said.splitlines()[-2]
    text = page.read_text(encoding="utf-8")
    assert "1 run in 1 arm" in text
    for key in ("gradient_flow", "update_ratio", "step_geometry", "loss", "metric"):
        assert f'id="data-{key}"' in text


def test_without_a_run_the_newest_training_is_meant(
    in_its_store: FinishedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect"]) == 0
    assert in_its_store.run_id in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing-like-it"], "there is no such run"),
        (["--htm", "x.html"], "no such flag (did you mean '--html'?)"),
        (["one", "two"], "inspect two: no such flag; one run at a time is inspected"),
        (["--metric", "val/nonsense"], "val/nonsense"),
    ],
)
@pytest.mark.usefixtures("in_its_store")
def test_what_cannot_be_inspected_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.usefixtures("store")
def test_a_run_without_diagnostics_and_one_with_a_cause(capsys: pytest.CaptureFixture[str]) -> None:
    digits = ["fit", "--config=adam", "--config=digits", "--threads=1", "--trainer.max_epochs=2"]
    assert main([*digits, "--diagnostics=off"]) == 0
    capsys.readouterr()
    assert main(["inspect"]) == 0
    assert "No diagnostics were measured" in capsys.readouterr().out
    words = ["--model.network=tests.support.troubled.BornDead", "--allow-import=tests"]
    assert main([*digits, *words, "--diagnostics=full,sharpness@first:2"]) == 0
    capsys.readouterr()
    assert main(["inspect"]) == 0
    said = capsys.readouterr().out
    for kind, sentence in json.loads(read_runs()[-1].tags[names.TAG_FINDINGS]):
        assert f"{sentence[:1].upper()}{sentence[1:]}." in said, kind
    assert "The sharpness is" in said
    assert "gradient noise scale" in said
    # Beside its arm's verdict in a comparison, too.
    assert main(["compare"]) == 0
    assert "dead ReLUs: 100 % of the units behind 1" in capsys.readouterr().out


def test_a_run_that_was_stopped_shows_what_it_has_so_far(
    in_its_store: FinishedRun,
) -> None:
    from lit_lossopt.comparison.inspection import summary

    (run,) = read_runs(run_ids=[in_its_store.run_id], metrics=None)
    tags = {name: value for name, value in run.tags.items() if name not in {names.TAG_FINDINGS, names.TAG_VERDICT}}
    dead = {name: one for name, one in run.histories.items() if not name.startswith(names.FLOW_DEAD)}
    once = run.histories[f"{names.FLOW_DEAD}/linear1"]
    histories = {**dead, f"{names.FLOW_DEAD}/linear1": type(once)(once.steps, 0 * once.values + 1)}
    stopped = type(run)(**{**vars(run), "tags": tags, "status": "RUNNING", "histories": histories})
    said = summary.sentences(stopped)
    assert "is still running, or its process was killed." in said[0]
    assert said[1].startswith("Dead ReLUs: 100 % of the units behind linear1")
    # One that goes on has taken back what it found.
    calm = type(run)(**{**vars(run), "tags": {**tags, names.TAG_FINDINGS: ""}, "status": "KILLED"})
    assert summary.sentences(calm)[1] == "Its diagnostics show nothing unusual so far."
