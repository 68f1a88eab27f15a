"""Checkpoints as files.

They are written whole or not at all, with a checksum. They are read if it holds, without running code.

A file is what ``torch.save`` writes, so that anybody can read it; the checksum stands in the comment that a zip archive
may have at its end. The file before is kept beside the new one under another name.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.files import force_to_disk, whole_file

_MARK = b"lossopt-sha256:"
_HEX = 64
_END = b"PK\x05\x06"  # of a zip archive, 22 bytes without its comment
_END_SIZE = 22


class DamagedError(Exception):
    """The file is not what was written.

    The message says why, in one line.
    """


def write_checkpoint(
    content: dict[str, Any], path: Path, *, keep_previous: bool = True, also: Path | None = None
) -> int:
    """Write a checkpoint and return its size in bytes.

    It is written beside ``path``, forced to disk, and only then gets its name.

    At no moment is there no whole file: a process that is killed leaves the old one or the new one.

    Args:
        content: tensors, numbers, texts, and lists and dictionaries of such.
        path: the file.
        keep_previous: keep the file that was there as ``<name>.previous.ckpt``; one that is damaged must not take the
            place of a good one.
        also: a second name in the same folder, given first: whoever reads ``path`` finds the other beside it.

    Raises:
        OSError: the disk does not take it. The old file is untouched.
    """
    data = _with_checksum(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_bytes(data)
        force_to_disk(part)
        if keep_previous and path.exists():
            _link(path, previous_of(path))
        if also is not None:
            link_checkpoint(part, also)
    force_to_disk(path.parent)
    return len(data)


def link_checkpoint(path: Path, other: Path) -> None:
    """Give the same content a second name.

    It happens at once or not at all.
    """
    _link(path, other)
    force_to_disk(other.parent)


def is_whole(path: Path) -> bool:
    """Return whether a file carries a checksum that holds."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return _has_mark(data) and _holds(data)


def read_verified(path: Path) -> dict[str, Any]:
    """Return a checkpoint whose checksum holds.

    Nothing in it is executed.

    A file without a checksum, of another program, is read as it is.

    Raises:
        DamagedError: it is cut off, altered, or no checkpoint.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror})") from error
    if _has_mark(data):
        if not _holds(data):
            raise DamagedError(f"{path}: its checksum does not hold; it was cut off or altered")
    elif data[-_END_SIZE : -_END_SIZE + len(_END)] != _END:
        raise DamagedError(f"{path}: not a whole checkpoint (it has no end)")
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever it is that altered bytes lead to
        raise DamagedError(f"{path}: not a whole checkpoint ({one_line(str(error), 120)})") from error
    if not isinstance(content, dict) or not {"state_dict", "pytorch-lightning_version"} <= content.keys():
        raise DamagedError(f"{path}: not the checkpoint of a training run")
    return content


def read_best_of(path: Path, asked: str = "--ckpt_path ") -> tuple[dict[str, Any], Path, str]:
    """Return a checkpoint and where it was found.

    If it is the one before ``path``, the third value says what is wrong with ``path``.

    Args:
        path: the file.
        asked: what asked for it, as errors begin.

    Raises:
        UserError: neither can be used.
    """
    try:
        return read_verified(path), path, ""
    except DamagedError as error:
        before = previous_of(path)
        if not before.is_file():
            raise UserError(f"{asked}{error}") from error
        try:
            return read_verified(before), before, str(error)
        except DamagedError as second:
            raise UserError(f"{asked}{error}; the checkpoint before it cannot be used either: {second}") from second


def previous_of(path: Path) -> Path:
    """Return the name under which the file before is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def _has_mark(data: bytes) -> bool:
    return data[-len(_MARK) - _HEX : -_HEX] == _MARK


def _holds(data: bytes) -> bool:
    return hashlib.sha256(memoryview(data)[:-_HEX]).hexdigest().encode() == data[-_HEX:]


def _with_checksum(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    if data[-_END_SIZE : -_END_SIZE + len(_END)] != _END:
        raise UserError("torch.save has written no zip archive; a checksum has no place in it")
    marked = data[:-2] + (len(_MARK) + _HEX).to_bytes(2, "little") + _MARK
    return marked + hashlib.sha256(marked).hexdigest().encode()


def _link(path: Path, other: Path) -> None:
    # A second name first, then one rename: other is always whole. Between two names of one file a rename does nothing,
    # and would leave the third.
    if other.exists() and path.samefile(other):
        return
    with whole_file(other) as part:
        try:
            os.link(path, part)
        except OSError:
            # A file system without second names: memory cards, some of those reached through a network.
            shutil.copyfile(path, part)
            force_to_disk(part)
