from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_lossopt.__main__ import main
from lit_lossopt.core.errors import Notice, UserError
from lit_lossopt.data import CIFAR10DataModule
from lit_lossopt.data.cifar10 import SHA256, SIZE
from tests.support.cifar10_official import members, table, write_archive
from tests.support.places import TESTS

NOT_OFFICIAL = "not the official CIFAR-10"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "small.tar.gz", members())


def at_hand(archive: Path, **options: Any) -> CIFAR10DataModule:
    data = CIFAR10DataModule(archive=archive, **options)
    with pytest.warns(Notice, match=NOT_OFFICIAL):
        data.prepare_data()
    return data


def test_splits_and_classes(archive: Path) -> None:
    data = at_hand(archive, classes=["dog", "cat"], batch_size=4)
    data.setup("fit")
    data.setup("test")
    assert len(data.images("train")) + len(data.images("val")) == 20
    assert data.images("test").images.shape == (4, 3, 32, 32)
    assert data.images("test").labels.tolist() == [1, 0, 1, 0]
    third = table(members()["test_batch"])["data"][3].reshape(3, 32, 32)
    np.testing.assert_array_equal(data.images("test").images[0].numpy(), third)


@pytest.mark.usefixtures("store")
def test_trains_and_tests_from_the_command_line(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ["--config", "sgd_momentum.yaml", "--data.archive", str(archive), "--trainer.max_epochs=1"]
    with pytest.warns(Notice, match=NOT_OFFICIAL):
        assert main(["fit", *shown, "--trainer.enable_progress_bar=false"]) == 0
    assert "epoch 1/1  step      1 " in capsys.readouterr().out
    (checkpoint,) = tmp_path.glob("mlruns/**/last.ckpt")
    with pytest.warns(Notice, match=NOT_OFFICIAL):
        assert main(["test", *shown, "--ckpt_path", str(checkpoint)]) == 0
    assert "test accuracy" in capsys.readouterr().out


def test_decoded_images_are_kept_and_the_archive_is_not_decoded_again(archive: Path, tmp_path: Path) -> None:
    first = at_hand(archive).read("train")
    (kept,) = (tmp_path / "cache" / "lit_lossopt" / "cifar10").iterdir()
    stamp = kept.stat().st_mtime_ns
    again = at_hand(archive).read("train")
    torch.testing.assert_close(again.images, first.images)
    torch.testing.assert_close(again.labels, first.labels)
    assert kept.stat().st_mtime_ns == stamp
    at_hand(write_archive(tmp_path / "other.tar.gz", members(10))).read("test")
    assert len(list(kept.parent.iterdir())) == 2


def test_kept_official_images_need_neither_archive_nor_network(archive: Path, tmp_path: Path) -> None:
    expected = at_hand(archive, cache=tmp_path / "kept").read("test")
    (kept,) = (tmp_path / "kept").iterdir()
    kept.rename(kept.with_name(f"cifar10-{SHA256}.npz"))
    data = CIFAR10DataModule(folder=tmp_path / "nothing", download=False, cache=tmp_path / "kept")
    data.prepare_data()
    torch.testing.assert_close(data.read("test").images, expected.images)


def flip_last_pixel(content: bytes) -> bytes:
    altered = bytearray(content)
    altered[len(altered) // 2] ^= 1
    return bytes(altered)


@pytest.mark.parametrize("damage", [flip_last_pixel, lambda kept: kept[:-100], lambda _: b"", lambda _: b"not a zip"])
def test_a_damaged_cache_is_made_anew(archive: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    data = at_hand(archive, cache=tmp_path / "kept")
    expected = data.read("train")
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    with pytest.warns(Notice, match="is damaged .*, so it is made again"):
        found = data.read("train")
    torch.testing.assert_close(found.images, expected.images)
    torch.testing.assert_close(data.read("train").images, expected.images)


def test_a_cache_that_cannot_be_written_is_said_and_trains_on(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    data = at_hand(archive, cache=tmp_path / "file" / "kept")
    with pytest.warns(Notice, match=r"decoded images cannot be kept in .*file"):
        assert len(data.read("test")) == 20


def test_without_archive_and_network_the_ways_out_are_named() -> None:
    ways = r"put cifar-10-python.tar.gz into none, or name it with --data.archive=FILE, .* --data=DigitsDataModule$"
    with pytest.raises(UserError, match=rf"CIFAR-10 is not in none .*\(http://127.0.0.1: Connection refused\); {ways}"):
        CIFAR10DataModule(folder="none", urls=["http://127.0.0.1:1/f"]).prepare_data()
    with pytest.raises(UserError, match=rf"\(data.download=false\); {ways}"):
        CIFAR10DataModule(folder="none", download=False).prepare_data()


def test_another_file_under_the_official_name_is_left_alone(archive: Path, tmp_path: Path) -> None:
    place = archive.rename(tmp_path / "cifar-10-python.tar.gz")
    before = place.read_bytes()
    with pytest.raises(
        UserError, match=rf"is not the official archive \({len(before):,} of {SIZE:,} bytes.* delete it"
    ):
        CIFAR10DataModule(folder=tmp_path).prepare_data()
    assert place.read_bytes() == before


def test_an_archive_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"data.archive: nowhere.tar.gz cannot be read \(No such file"):
        CIFAR10DataModule(archive="nowhere.tar.gz").prepare_data()


@pytest.mark.parametrize("url", ["http://mirror.invalid/f", "https://me:secret@mirror.invalid/f"])
def test_an_address_that_is_not_used_is_refused_before_anything(url: str) -> None:
    with pytest.raises(UserError, match=r"^data.urls: ") as raised:
        CIFAR10DataModule(urls=[url])
    assert "secret" not in str(raised.value)


def test_a_mirror_with_another_file_is_refused(tmp_path: Path, archive: Path) -> None:
    script = TESTS / "support" / "misbehaving_file_server.py"
    command = [sys.executable, str(script), str(archive), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/good/f"
        with pytest.raises(UserError, match=rf"has {archive.stat().st_size:,} bytes in place of {SIZE:,}"):
            CIFAR10DataModule(urls=[url]).prepare_data()
        server.kill()
    assert [path.suffix for path in Path("data").iterdir()] == [".lock"]


def test_the_checksum_is_what_the_archive_is_known_by(archive: Path, tmp_path: Path) -> None:
    at_hand(archive, cache=tmp_path / "kept").read("test")
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.name == f"cifar10-{hashlib.sha256(archive.read_bytes()).hexdigest()}.npz"
