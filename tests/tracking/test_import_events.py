"""Event files of TensorBoard: which folders are one run, and the checksum of their records."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

from lit_lossopt.tracking.importing.crc32c import masked_checksums
from tests.support.imports import imported, points

pytestmark = [
    pytest.mark.usefixtures("store"),
    pytest.mark.skipif(
        not importlib.util.find_spec("tensorboard"), reason="needs tensorboard, the extra that reads its event files"
    ),
]


def write(folder: Path, tag: str, value: float) -> None:
    from torch.utils.tensorboard.writer import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        writer.add_scalar(tag, value, 3)


@pytest.mark.parametrize("parts", [("train", "validation"), ("train", "val"), ("training", "eval")])
def test_parts_of_a_run_in_folders_of_their_own_are_one_run(
    parts: tuple[str, str], logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, value in zip(parts, (0.5, 0.25), strict=True):
        write(logs / part, "loss", value)
    (run,) = imported(logs)
    assert points(run, f"{parts[0]}/loss") == [(3, 0.5)]
    assert points(run, f"{parts[1]}/loss") == [(3, 0.25)]
    assert "parts of one run" in capsys.readouterr().out


def test_what_add_hparams_keeps_in_a_folder_of_its_own_are_settings_of_the_run(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from torch.utils.tensorboard.writer import SummaryWriter

    with SummaryWriter(str(logs)) as writer:
        writer.add_scalar("val_acc", 0.5, 3)
        writer.add_hparams({"lr": 0.1, "seed": 2}, {"val_acc": 0.5})
    (run,) = imported(logs)
    assert run.params == {"lr": "0.1", "seed": "2"}
    assert points(run, "val_acc") == [(3, 0.5)]
    assert "left out: results that add_hparams repeats (1)" in capsys.readouterr().out


def test_the_checksum_is_that_of_tensorboard() -> None:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    draw = random.Random(0)
    # Many of some lengths, and few of others.
    lengths = [length for length in (0, 1, 8, 57) for _ in range(60)] + [3, 3, 2000, 64]
    records = [draw.randbytes(length) for length in draw.sample(lengths, len(lengths))]
    assert masked_checksums(records).tolist() == [masked_crc32c(record) for record in records]
