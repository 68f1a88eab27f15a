"""What a training profiles: nothing, or what a person asks for."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
import pytest

from lit_lossopt.__main__ import main
from lit_lossopt.training.profiling import NoProfiler

FIT = ["fit", "--config=digits", "--trainer.max_steps=2", "--trainer.logger=false"]


def test_a_training_makes_no_contexts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []
    kept = pl.Trainer.fit

    def fit(trainer: pl.Trainer, *arguments: object, **named: object) -> object:
        found.append(trainer.profiler)  # type: ignore[attr-defined]  # set by the trainer's setup
        return kept(trainer, *arguments, **named)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(pl.Trainer, "fit", fit)
    assert main(FIT) == 0
    profiler = found[0]
    assert isinstance(profiler, NoProfiler)
    assert profiler.profile("one") is profiler.profile("another")


def test_a_profiler_that_is_asked_for_measures() -> None:
    asked = ["--trainer.profiler=SimpleProfiler", "--trainer.profiler.dirpath=.", "--trainer.profiler.filename=seconds"]
    assert main([*FIT, *asked]) == 0
    assert "run_training_batch" in next(Path().glob("*seconds*.txt")).read_text(encoding="utf-8")
