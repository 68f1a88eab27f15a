"""A parser that was built before is as good as a new one, and is used once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_lossopt.config.words import prepare
from lit_lossopt.core.errors import UserError
from lit_lossopt.sweeps.engines.rehearsal import rehearse
from lit_lossopt.training import parser_ahead
from lit_lossopt.training.cli import LossOptCLI, build
from lit_lossopt.training.run_description import resolved_config

WORDS = [
    "--config=adam", "--config=digits", "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=2",
    "--model.network.dropout=0.1", "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss",
    "--trainer.logger=false", "--trainer.accelerator=cpu",
]  # fmt: skip


def test_a_parser_that_was_built_before_reads_settings_as_a_new_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = build(prepare("fit", WORDS), LossOptCLI)
    first.build_for(LossOptCLI)
    built = first.parser
    second = build(prepare("fit", WORDS), LossOptCLI)
    third = build(prepare("fit", WORDS), LossOptCLI)
    assert second.parser is built
    assert third.parser is not built
    configs = [resolved_config(one._parser("fit"), one.config["fit"]) for one in (first, second, third)]
    assert configs[0] == configs[1] == configs[2]
    assert configs[0]["trainer"]["callbacks"][0]["init_args"]["monitor"] == "val/loss"


def test_a_mistake_is_told_by_a_parser_that_was_built_before_as_by_a_new_one() -> None:
    wrong = [*WORDS, "--trainer.max_epochs=many"]
    messages = []
    for ahead in (False, True):
        if ahead:
            build(prepare("fit", WORDS), LossOptCLI).build_for(LossOptCLI)
        with pytest.raises(UserError) as error:
            build(prepare("fit", wrong), LossOptCLI)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert "max_epochs" in messages[0]


def test_a_rehearsal_leaves_a_parser_for_the_next_fit_and_for_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rehearse()
    assert list(parser_ahead._built) == [(LossOptCLI, "fit")]
    left = parser_ahead._built[LossOptCLI, "fit"].parser
    assert build(prepare("fit", WORDS), LossOptCLI).parser is left
    assert build(prepare("fit", WORDS), LossOptCLI).parser is not left
