"""No damaged file loads; a kill or a full disk leaves the old one; nothing in a file is executed."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_lossopt.core.files import remove_parts
from lit_lossopt.training.checkpoint_file import (
    DamagedError,
    link_checkpoint,
    previous_of,
    read_verified,
    write_checkpoint,
)


def content(value: float) -> dict[str, Any]:
    weights = torch.full((1000,), value)
    return {"state_dict": {"a": weights}, "pytorch-lightning_version": "2", "losses": [value, float("inf")]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_checkpoint(content(1.0), tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_what_is_written_is_read_and_the_one_before_is_kept(path: Path) -> None:
    write_checkpoint(content(2.0), path)
    assert float(read_verified(path)["state_dict"]["a"][0]) == 2.0
    assert float(read_verified(previous_of(path))["state_dict"]["a"][0]) == 1.0
    assert sorted(file.name for file in path.parent.iterdir()) == ["last.ckpt", "last.previous.ckpt"]
    assert float(torch.load(path, weights_only=True)["state_dict"]["a"][0]) == 2.0
    link_checkpoint(path, path.with_name("best.ckpt"))
    write_checkpoint(content(3.0), path)
    assert float(read_verified(path.with_name("best.ckpt"))["state_dict"]["a"][0]) == 2.0


def test_no_file_that_was_cut_off_loads(path: Path) -> None:
    data = path.read_bytes()
    for cut in [*random.Random(0).sample(range(len(data)), 40), len(data) - 1, 0]:
        path.write_bytes(data[:cut])
        with pytest.raises(DamagedError) as error:
            read_verified(path)
        assert "\n" not in str(error.value)


def test_no_file_with_a_flipped_bit_loads(path: Path) -> None:
    data = path.read_bytes()
    places = random.Random(0).sample(range(len(data) * 8), 40)
    # And each bit of the end of the archive, its comment and the checksum.
    for place in [*places, *range((len(data) - 110) * 8, len(data) * 8, 7)]:
        altered = bytearray(data)
        altered[place // 8] ^= 1 << (place % 8)
        path.write_bytes(altered)
        with pytest.raises(DamagedError):
            read_verified(path)


def test_a_hostile_pickle_is_not_executed(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    file = tmp_path / "hostile.ckpt"
    torch.save({"state_dict": Hostile(), "pytorch-lightning_version": "2"}, file)
    with pytest.raises(DamagedError, match="not a whole checkpoint"):
        read_verified(file)
    assert not (tmp_path / "executed").exists()
    torch.load(file, weights_only=False)
    assert (tmp_path / "executed").exists()  # it would have been


def test_a_full_disk_leaves_the_old_one(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_checkpoint(content(2.0), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert float(read_verified(path)["state_dict"]["a"][0]) == 1.0
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_where_a_file_can_have_no_second_name_it_is_copied(path: Path) -> None:
    memory = Path("/dev") / "shm"
    if not memory.is_dir() or memory.stat().st_dev == path.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        other = Path(folder) / "best.ckpt"
        link_checkpoint(path, other)
        assert other.read_bytes() == path.read_bytes()
        assert [file.name for file in other.parent.iterdir()] == ["best.ckpt"]


def test_what_a_killed_save_left_is_removed(path: Path) -> None:
    (path.parent / ".last-0123.part").write_bytes(b"half")
    remove_parts(path.parent)
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_file_is_for_others_to_read_as_far_as_the_umask_lets_them(path: Path) -> None:
    umask = os.umask(0o027)
    try:
        write_checkpoint(content(2.0), path)
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_second_name_that_is_there_already_leaves_no_third(path: Path) -> None:
    # So it is after a kill between the two renames of a save.
    previous_of(path).hardlink_to(path)
    write_checkpoint(content(2.0), path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["last.ckpt", "last.previous.ckpt"]
    assert float(read_verified(previous_of(path))["state_dict"]["a"][0]) == 1.0
    previous_of(path).unlink()
    previous_of(path).hardlink_to(path)
    link_checkpoint(path, previous_of(path))
    assert sorted(file.name for file in path.parent.iterdir()) == ["last.ckpt", "last.previous.ckpt"]


KILLED_WHILE_SAVING = """
import os, signal, sys
from pathlib import Path
import torch
from lit_lossopt.training.checkpoint_file import write_checkpoint
name, at = sys.argv[2], int(sys.argv[3])
module, function = {"fsync": (os, "fsync"), "link": (os, "link"), "replace": (Path, "replace")}[name]
original, count = getattr(module, function), 0
def killing(*arguments):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
setattr(module, function, killing)
weights = torch.full((1000,), 2.0)
write_checkpoint({"state_dict": {"a": weights}, "pytorch-lightning_version": "2"}, Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("call", "at"), [("fsync", 1), ("link", 1), ("replace", 1), ("replace", 2), ("fsync", 2)])
def test_killed_at_any_call_of_a_save_there_is_a_whole_one(call: str, at: int, path: Path, tmp_path: Path) -> None:
    # TMPDIR elsewhere, on another file system where there is one: a save must not go through it.
    memory = Path("/dev") / "shm"
    elsewhere = str(memory if memory.is_dir() else tmp_path)
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(path), call, str(at)]
    ended = subprocess.run(command, check=False, env={**os.environ, "TMPDIR": elsewhere})
    assert ended.returncode == -signal.SIGKILL
    assert float(read_verified(path)["state_dict"]["a"][0]) in (1.0, 2.0)
    write_checkpoint(content(3.0), path)
    assert float(read_verified(path)["state_dict"]["a"][0]) == 3.0
