"""``lossopt twin --check``: both frameworks step by step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs keras and tensorflow, the extra for the twin in TensorFlow")

from lit_lossopt.__main__ import main
from lit_lossopt.keras_twin.checking.gap import Gap
from lit_lossopt.keras_twin.checking.measure import gaps
from lit_lossopt.keras_twin.checking.pairs import COLUMNS, DEFAULTS, MATCHED, TORCH_RULE
from lit_lossopt.keras_twin.checking.report import agrees, curve, read_json, verdict
from lit_lossopt.keras_twin.checking.request import LOSSES, OPTIMIZERS, TOLERANCE, parse


def test_it_is_told_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--check", "--images=digits", "--losses=MSELoss,CrossEntropyLoss", "--optimizers=SGD L2,Adam", "--steps=5"]
    assert main(["twin", *words, "--html=c.html", "--markdown=c.md", "--json=c.json"]) == 0
    said = capsys.readouterr().out
    assert "four pairs of loss and optimizer agree within 1e-10 over five steps" in " ".join(said.split())
    found = read_json(json.loads((tmp_path / "c.json").read_text()))
    assert [gap.column for gap in found] == [*COLUMNS] * 4
    for gap in found:
        # With its own defaults each goes its own way from the first step on.
        assert gap.column != DEFAULTS or gap.first_step == 1
        assert gap.column != TORCH_RULE or gap.first_step is None
        assert gap.column != DEFAULTS or gap.largest > 1e-2
    assert all(gap.largest > TOLERANCE for gap in found if gap.optimizer == "Adam" and gap.column == MATCHED)
    assert "| Adam |" in (tmp_path / "c.md").read_text()
    assert (tmp_path / "c.html").read_text().count("<polyline") == 12
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.slow
def test_every_pair_agrees_by_torchs_rule() -> None:
    found = list(gaps(parse(["--check"])))
    assert len(found) == 2 * len(LOSSES) * len(OPTIMIZERS) * len(COLUMNS)
    assert [gap for gap in found if gap.column == TORCH_RULE and gap.largest > TOLERANCE] == []


@pytest.mark.slow
def test_what_grows_over_two_hundred_steps_is_rounding() -> None:
    found = list(gaps(parse(["--check", "--steps=200", "--images=digits", "--losses=CrossEntropyLoss"])))
    grown = {gap.optimizer: gap.largest for gap in found if gap.column == TORCH_RULE}
    assert max(grown.values()) < 1e-6, grown


def test_a_pair_that_differs_is_named() -> None:
    good = Gap("digits", "MSELoss", "SGD", TORCH_RULE, (1e-15,) * 30, (1e-14,) * 30)
    late = replace(good, optimizer="Adam", losses=(1e-15,) * 25 + (1e-3,) * 5)
    bad = replace(good, optimizer="RMSprop", weights=(1e-15,) * 9 + (1e-9,) * 21)
    lost = replace(good, optimizer="Adamax", losses=(1e-15,) * 9 + (float("nan"),) * 21)
    assert agrees([good, late])
    assert (late.first_step, bad.first_step, lost.first_step) == (26, 10, 10)
    assert not agrees([good, bad])
    assert not agrees([good, lost])
    assert "RMSprop with MSELoss on digits and Adamax with MSELoss on digits differ" in verdict([good, bad, late, lost])
    assert curve(lost).split(" ")[-1] == "120.0,0.0"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--steps=0"], "twin --steps 0: must be at least 1"),
        (["--optimizers=Adamm"], "twin --optimizers Adamm (did you mean 'Adam'?); there are: SGD, momentum"),
        (["--losses="], "twin --losses: name at least one of CrossEntropyLoss"),
        (["--config=adam"], "twin --config=adam: no such flag"),
    ],
)
def test_what_cannot_be_checked_is_refused(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["twin", "--check", *words]) == 2
    assert says in capsys.readouterr().err
