from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_lossopt.core.errors import UserError
from lit_lossopt.data.cifar10_archive import CLASS_NAMES, FOLDER, LARGEST_MEMBER, MOST_BYTES, read_archive
from tests.support.cifar10_official import Members, members, python2_pickle, table, write_archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "small.tar.gz", members())


def test_images_and_labels_are_those_of_the_pickles(archive: Path) -> None:
    written, arrays = members(), read_archive(archive)
    train = [table(written[f"data_batch_{i}"]) for i in range(1, 6)]
    for part, batches in (("train", train), ("test", [table(written["test_batch"])])):
        expected = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        np.testing.assert_array_equal(arrays[f"{part}_images"].transpose(0, 3, 1, 2), expected)
        assert arrays[f"{part}_labels"].tolist() == [label for batch in batches for label in batch["labels"]]


@pytest.mark.parametrize("protocol", [3, 4])
def test_pickles_of_today_are_read_too(archive: Path, tmp_path: Path, protocol: int) -> None:
    again = {name: payload if name == "readme.html" else table(payload) for name, payload in members().items()}
    packed = {name: pickle.dumps(item, protocol) for name, item in again.items()}
    arrays = read_archive(write_archive(tmp_path / "today.tar.gz", packed))
    for name, expected in read_archive(archive).items():
        np.testing.assert_array_equal(arrays[name], expected)


def reduce_to(function: str, argument: str) -> bytes:
    """Return a pickle that calls ``function`` when it is loaded without care."""
    return f"c{function}\n(S'{argument}'\ntR.".encode()


def batch(**changes: Any) -> bytes:
    data = np.zeros((20, 3072), dtype=np.uint8)
    return python2_pickle({"data": data, "labels": [0] * 20, **changes})


DAMAGED: list[tuple[str, bytes, str]] = [
    ("data_batch_3", reduce_to("os\nsystem", "touch hostile"), "asks for os.system, which no CIFAR-10 file needs"),
    ("batches.meta", reduce_to("builtins\neval", "open('hostile', 'w')"), "asks for builtins.eval"),
    ("test_batch", reduce_to("numpy\nload", "hostile"), "asks for numpy.load"),
    ("test_batch", b"cnumpy\ndtype\n}S'name'\nS'u1'\nsb.", "cannot be read"),
    ("test_batch", b"P1\n.", "cannot be read"),
    ("test_batch", b"\x80\x02}q", "cannot be read"),
    ("test_batch", b"", "cannot be read"),
    ("test_batch", python2_pickle({"labels": [1]}), "lacks its images or its labels"),
    ("test_batch", b"\x80\x02]..", "is not a table of images and labels"),
    ("test_batch", batch(labels=[0] * 19), "has 20 images and 19 labels"),
    ("test_batch", batch(labels=[0] * 19 + [10]), "has the label 10, not one of 0 to 9"),
    ("test_batch", batch(labels=[0] * 19 + [-1]), "has the label -1"),
    ("test_batch", batch(labels=[0] * 19 + [True]), "has the label True"),
    ("test_batch", batch(labels=[0] * 19 + ["cat"]), "has the label 'cat'"),
    ("test_batch", batch(data=np.zeros((20, 3000), dtype=np.uint8)), "not rows of 3072 bytes"),
    ("test_batch", batch(data=np.zeros((20, 3072), dtype=np.int16)), "not rows of 3072 bytes"),
    ("test_batch", batch(data=np.zeros(3072, dtype=np.uint8)), "not described as numpy does it"),
    ("test_batch", batch().replace(b"(J\x14\0\0\0J", b"(J\x15\0\0\0J"), "more or fewer bytes than its shape"),
    ("test_batch", batch(data=np.zeros((0, 3072), dtype=np.uint8), labels=[]), "has 0 images"),
    ("test_batch", bytes(LARGEST_MEMBER + 1), "more than a batch of CIFAR-10 can have"),
    ("batches.meta", python2_pickle({"label_names": CLASS_NAMES[::-1]}), "names other classes"),
]


@pytest.mark.parametrize(("name", "payload", "message"), DAMAGED)
def test_a_member_that_is_not_cifar10_is_refused(tmp_path: Path, name: str, payload: bytes, message: str) -> None:
    path = write_archive(tmp_path / "bad.tar.gz", {**members(), name: payload})
    with pytest.raises(UserError, match=message) as raised:
        read_archive(path)
    assert str(path) in str(raised.value)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "hostile").exists()


def test_the_hostile_pickle_is_hostile(tmp_path: Path) -> None:
    assert pickle.loads(DAMAGED[0][1]) == 0  # noqa: S301  # shows that the test above tests something
    assert (tmp_path / "hostile").exists()


def without(name: str) -> Members:
    return {key: payload for key, payload in members().items() if key != name}


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
def test_a_missing_member_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{FOLDER}/{name} is missing"):
        read_archive(write_archive(tmp_path / "bad.tar.gz", without(name)))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    link = tarfile.TarInfo(f"{FOLDER}/test_batch")
    link.type, link.linkname = kind, f"{FOLDER}/data_batch_1"
    with pytest.raises(UserError, match="test_batch is not a regular file"):
        read_archive(write_archive(tmp_path / "bad.tar.gz", without("test_batch"), link))


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    again = tarfile.TarInfo(f"./{FOLDER}/test_batch")
    with pytest.raises(UserError, match="test_batch is there twice"):
        read_archive(write_archive(tmp_path / "bad.tar.gz", members(), again))


def test_what_else_is_in_an_archive_is_neither_read_nor_unpacked(tmp_path: Path) -> None:
    outside = tarfile.TarInfo("../outside")
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    inside = tmp_path / "in"
    inside.mkdir()
    read_archive(write_archive(inside / "more.tar.gz", members(), outside, link))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in inside.iterdir()] == ["more.tar.gz"]


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    others = [tarfile.TarInfo(f"{index}") for index in range(40)]
    with pytest.raises(UserError, match="more than 32 members"):
        read_archive(write_archive(tmp_path / "bad.tar.gz", members(), *others))


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.tar.gz"
    packer, zeros = zlib.compressobj(1, wbits=31), bytes(1 << 24)
    member = tarfile.TarInfo("zeros")
    member.size = 8 * MOST_BYTES
    with bomb.open("wb") as file:
        file.write(packer.compress(member.tobuf()))
        for _ in range(MOST_BYTES // len(zeros) + 1):
            file.write(packer.compress(zeros))
        file.write(packer.flush())
    assert bomb.stat().st_size < 5_000_000
    with pytest.raises(UserError, match="unpacks to more than 268,435,456 bytes"):
        read_archive(bomb)


def flip_a_stored_bit(packed: bytes) -> bytes:
    """Alter a pixel and pack again under the old checksum."""
    plain = bytearray(gzip.decompress(packed))
    plain[len(plain) // 2] ^= 1
    return gzip.compress(bytes(plain), 1)[:-8] + packed[-8:]


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[: len(packed) // 2], flip_a_stored_bit, lambda _: b"<html>", lambda _: b""]
)
def test_a_damaged_archive_is_refused(archive: Path, damage: Callable[[bytes], bytes]) -> None:
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(UserError, match=r"small.tar.gz: (damaged, or not a tar.gz|.* is missing)") as raised:
        read_archive(archive)
    assert "\n" not in str(raised.value)


def test_a_plain_tar_is_no_archive(tmp_path: Path) -> None:
    file = io.BytesIO()
    tarfile.open(fileobj=file, mode="w").close()
    (tmp_path / "plain.tar.gz").write_bytes(file.getvalue())
    with pytest.raises(UserError, match="damaged, or not a tar"):
        read_archive(tmp_path / "plain.tar.gz")
