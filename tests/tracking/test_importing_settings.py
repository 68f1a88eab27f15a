"""Settings that files of other programs hold become parameters."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.support import foreign_logs
from tests.support.imports import imported, points

pytestmark = pytest.mark.usefixtures("store")


def test_settings_are_read_as_they_are_written_and_objects_are_not_made(logs: Path) -> None:
    foreign_logs.write_lightning_table(logs, 3)
    text = "lr: 1e-3\nloss: !!python/name:torch.nn.MSELoss ''\nbetas: !!python/tuple [0.9, 0.999]\nnet: {width: 010}\n"
    (logs / "hparams.yaml").write_text(
        f"{text}evil: !!python/object/apply:os.system ['touch made']\n", encoding="utf-8"
    )
    (run,) = imported(logs)
    assert run.params == {"lr": "1e-3", "loss": "torch.nn.MSELoss", "betas": "[0.9, 0.999]", "net.width": "010"}
    assert not Path("made").exists()


@pytest.mark.skipif(
    not importlib.util.find_spec("tensorboard"), reason="needs tensorboard, the extra that reads its event files"
)
def test_settings_that_tensorboard_keeps_are_parameters(logs: Path) -> None:
    from torch.utils.tensorboard.summary import hparams
    from torch.utils.tensorboard.writer import FileWriter

    writer = FileWriter(str(logs))
    for summary in hparams({"lr": 0.001, "batch_size": 64, "optimizer": "adam"}, {"val_acc": 0}):  # type: ignore[no-untyped-call]  # torch has no types there
        writer.add_summary(summary)
    from tensorboard.compat.proto.summary_pb2 import Summary

    writer.add_summary(Summary(value=[Summary.Value(tag="val_acc", simple_value=0.5)]), 7)
    writer.close()
    (run,) = imported(logs)
    assert run.params == {"lr": "0.001", "batch_size": "64", "optimizer": "adam"}
    assert points(run, "val_acc") == [(7, 0.5)]
