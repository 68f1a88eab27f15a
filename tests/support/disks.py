"""Real file systems of their own, to be filled, to run out of inodes, or to become read-only."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Room for a run to begin (32 MiB must be free), and little more.
SIZE, INODES = "48m", 400
FILLER, CHUNK = "filler", 1 << 20


@contextmanager
def memory_disk(place: Path, size: str = SIZE) -> Iterator[Path]:
    """Give a file system in memory, mounted at ``place``; skip the test where that is not allowed."""
    place.mkdir(parents=True)
    _mounted(["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes={INODES}", "tmpfs", str(place)])
    try:
        yield place
    finally:
        _unmount(place)


@contextmanager
def failing_disk(place: Path) -> Iterator[Path]:
    """Give an ext4 in a file, which ``fail`` makes read-only as an error of a real disk does."""
    image = place.with_name(f"{place.name}.img")
    place.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(100 << 20)
    _mounted(["mkfs.ext4", "-q", str(image)])
    _mounted(["mount", "-o", "loop", str(image), str(place)])
    try:
        yield place
    finally:
        _unmount(place)


def fail(disk: Path) -> None:
    """Make a mounted ext4 read-only, although files on it are open for writing."""
    subprocess.run(["mount", "-o", "remount,abort", str(disk)], check=True)
    with pytest.raises(OSError, match="Read-only"):
        (disk / "touched").touch()


def fill(disk: Path) -> None:
    """Take the last byte."""
    with (disk / FILLER).open("wb", buffering=0) as file:
        chunk = CHUNK
        while chunk:
            try:
                file.write(bytes(chunk))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                chunk //= 2


def take_inodes(disk: Path) -> None:
    """Take the last inode."""
    (disk / FILLER).mkdir()
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012  # one of them is the last
        for number in range(INODES + 1):
            (disk / FILLER / str(number)).touch()


def free(disk: Path) -> None:
    """Give back what was taken."""
    filler = disk / FILLER
    for path in filler.iterdir() if filler.is_dir() else ():
        path.unlink()
    if filler.is_dir():
        filler.rmdir()
    else:
        filler.unlink()


def _mounted(command: list[str]) -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a file system needs root, and Linux")
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"{command[0]} is not installed ({error})")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{' '.join(command[:3])} is not allowed here: {error.stderr.strip()}")


def _unmount(place: Path) -> None:
    # Threads that were given up may still have files open there.
    subprocess.run(["umount", "-l", str(place)], check=True)
