"""How the process multiplies float32 numbers, and what a run records of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import torch

from lit_lossopt.__main__ import main
from lit_lossopt.comparison.grouping.settings import settings_of
from lit_lossopt.core.machine import has_bf16_units
from lit_lossopt.core.names import Exit
from lit_lossopt.tracking.reading.runs import read_runs
from lit_lossopt.training.numerics import (
    FP32Precision,
    changes_products,
    fp32_precision,
    restore_precision,
    set_fp32_precision,
)
from lit_lossopt.training.surroundings import one_at_a_time

FIT = ["fit", "--config=digits", "--trainer.max_steps=2", "--trainer.enable_progress_bar=false"]


@pytest.mark.parametrize("precision", get_args(FP32Precision))
def test_each_precision_is_set_for_all_products_and_put_back(precision: FP32Precision) -> None:
    before, put_back = fp32_precision(), restore_precision()
    set_fp32_precision(precision)
    now = fp32_precision()
    # What Lightning asks for, which torch refuses to answer where its parts disagree.
    torch.get_float32_matmul_precision()
    put_back()
    assert now["cpu_convolution"] == now["cpu_matmul"] == precision
    assert now["gpu_convolution"] == now["gpu_matmul"] == ("ieee" if precision == "ieee" else "tf32")
    assert fp32_precision() == before


def test_ieee_changes_no_product() -> None:
    assert not changes_products("ieee")


@pytest.mark.skipif(not has_bf16_units(), reason="this processor has no units for bf16")
def test_bf16_changes_products_where_there_are_units() -> None:
    assert changes_products("bf16")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("precision", get_args(FP32Precision))
def test_a_run_is_recorded_under_a_precision_that_is_computed_and_no_other_begins(
    precision: FP32Precision, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(FIT) == 0
    status = main([*FIT, f"--fp32_precision={precision}", "--trainer.accelerator=cpu"])
    plain, *others = read_runs("lit_lossopt")
    assert "fp32_precision" not in plain.params
    if precision != "ieee" and not changes_products(precision):
        assert "this processor has no units for it" in capsys.readouterr().err
        assert (status, others) == (Exit.MISTAKE, [])
        return
    assert settings_of(others[0])["fp32_precision"] == precision
    assert plain.tags["lossopt.trial_key"] != others[0].tags["lossopt.trial_key"]
    provenance = json.loads(next(Path().rglob(f"{others[0].run_id}/**/provenance.json")).read_text(encoding="utf-8"))
    assert provenance["numerics"]["fp32_precision"]["cpu_matmul"] == precision


@pytest.mark.usefixtures("store")
def test_a_program_that_has_set_torchs_parts_one_by_one_trains_and_keeps_them() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    before = fp32_precision()
    with pytest.raises(RuntimeError):
        torch.get_float32_matmul_precision()
    with one_at_a_time():
        assert main(FIT) == 0
    assert fp32_precision() == before


def test_a_word_that_is_no_precision_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--fp32_precision=half"]) != 0
    assert "expected one of 'ieee', 'tf32', 'bf16'" in capsys.readouterr().err


@pytest.mark.skipif(has_bf16_units(), reason="this processor has units for bf16")
@pytest.mark.usefixtures("store")
def test_bf16_without_units_is_said_to_be_slow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--trainer.precision=bf16-mixed"]) == 0
    assert "many times slower than in float32" in capsys.readouterr().err
    assert settings_of(read_runs("lit_lossopt")[0])["trainer.precision"] == "bf16-mixed"
