"""Reading CIFAR-10's archive without running what its pickles ask for.

Nothing is unpacked to disk. The archive is a tar.gz of pickles written by Python 2. A pickle names the functions that
rebuild its objects, so a hostile one can call anything. Here the few names that arrays need lead to stand-ins of this
file, which only hold what they are given. Every other name is refused, so nothing that a pickle names is ever called.
"""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.data.array_cache import Arrays

FOLDER = "cifar-10-batches-py"
TRAIN, TEST, META = tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"
CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SIDE, CHANNELS = 32, 3
# The largest of the official batches has 31,035,999 bytes, the archive nine members and 186 MB when unpacked.
LARGEST_MEMBER, MOST_MEMBERS, MOST_BYTES = 1 << 25, 32, 1 << 28
BLOCK = 1 << 20


def read_archive(archive: Path) -> Arrays:
    """Return the arrays of CIFAR-10.

    ``train_images`` and ``test_images`` are ``[N, 32, 32, 3]`` uint8, ``train_labels`` and ``test_labels`` ``[N]``.

    Raises:
        UserError: the archive is damaged, larger than it may be, or not CIFAR-10.
    """
    try:
        members = _read_members(archive)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UserError(f"{archive}: damaged, or not a tar.gz ({one_line(str(error), 100)})") from error
    missing = [name for name in (*TRAIN, TEST, META) if name not in members]
    if missing:
        raise UserError(f"{archive}: {FOLDER}/{missing[0]} is missing; it is not CIFAR-10's python version")
    try:
        return _arrays(members)
    except ValueError as error:
        raise UserError(f"{archive}: {one_line(str(error), 200)}; it is not used") from error


def _read_members(archive: Path) -> dict[str, bytes]:
    """Return the content of the members that are needed.

    All others are passed over.
    """
    members: dict[str, bytes] = {}
    with gzip.open(archive) as unpacked:
        stream = _Limited(unpacked)
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for count, member in enumerate(tar, 1):
                if count > MOST_MEMBERS:
                    raise tarfile.TarError(f"more than {MOST_MEMBERS} members")
                name = member.name.removeprefix("./").removeprefix(f"{FOLDER}/")
                if name in (*TRAIN, TEST, META):
                    if name in members:
                        raise tarfile.TarError(f"{member.name} is there twice")
                    members[name] = _content(tar, member)
        # Read to the very end, where the checksum of a gzip file stands.
        while stream.read(BLOCK):
            pass
    return members


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else None
    if file is None:
        raise tarfile.TarError(f"{member.name} is not a regular file")
    if member.size > LARGEST_MEMBER:
        raise tarfile.TarError(f"{member.name} has {member.size:,} bytes, more than a batch of CIFAR-10 can have")
    return file.read()


class _Limited(io.RawIOBase):
    """A stream that fails after more bytes than the archive can have."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        super().__init__()
        self._stream = stream
        self._left = MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(min(size, BLOCK) if size >= 0 else BLOCK)
        self._left -= len(block)
        if self._left < 0:
            raise tarfile.TarError(f"unpacks to more than {MOST_BYTES:,} bytes")
        return block


def _arrays(members: dict[str, bytes]) -> Arrays:
    names = _unpickle(members, META).get("label_names")
    if names != CLASS_NAMES:
        raise ValueError(f"{META} names other classes ({names})")
    batches = [_batch(members, name) for name in TRAIN]
    test_images, test_labels = _batch(members, TEST)
    return {
        "train_images": np.concatenate([images for images, _ in batches]),
        "train_labels": np.concatenate([labels for _, labels in batches]),
        "test_images": test_images,
        "test_labels": test_labels,
    }


def _batch(members: dict[str, bytes], name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images ``[N, 32, 32, 3]`` and labels ``[N]`` of a batch.

    A batch holds rows of 1024 reds, 1024 greens and 1024 blues.
    """
    content = _unpickle(members, name)
    data, labels = content.get("data"), content.get("labels")
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise ValueError(f"{name} lacks its images or its labels")  # noqa: TRY004  # of the file, not of an argument
    rows = data.rows(name).reshape(-1, CHANNELS, SIDE, SIDE)
    if len(rows) != len(labels) or not len(rows):
        raise ValueError(f"{name} has {len(rows)} images and {len(labels)} labels")
    wrong = [label for label in labels if type(label) is not int or not 0 <= label < len(CLASS_NAMES)]
    if wrong:
        raise ValueError(f"{name} has the label {wrong[0]!r}, not one of 0 to {len(CLASS_NAMES) - 1}")
    return np.ascontiguousarray(rows.transpose(0, 2, 3, 1)), np.array(labels, dtype=np.int64)


class _Array:
    """Stands in for a numpy array, and keeps its pickled state."""

    state: Any = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def rows(self, member: str) -> NDArray[np.uint8]:
        """Return the array ``[N, 3072]``.

        Raises:
            ValueError: the state describes something else.
        """
        try:
            _, (rows, width), dtype, by_columns, raw = self.state
        except (TypeError, ValueError) as error:
            raise ValueError(f"{member}: an array is not described as numpy does it") from error
        # Python 3 reads a string of Python 2 as a text of the same byte values.
        content = raw.encode("latin-1") if isinstance(raw, str) else raw
        if not isinstance(dtype, _Type) or dtype.name != "u1" or width != CHANNELS * SIDE * SIDE or by_columns:
            raise ValueError(f"{member}: an array is not rows of {CHANNELS * SIDE * SIDE} bytes")
        if type(rows) is not int or not isinstance(content, bytes) or len(content) != rows * width:
            raise ValueError(f"{member}: an array has more or fewer bytes than its shape")
        return np.frombuffer(content, dtype=np.uint8).reshape(rows, width)


class _Type:
    """Stands in for a numpy dtype, and keeps its name."""

    def __init__(self, name: Any = None, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment, which mean nothing for bytes."""


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name that arrays need.

        Raises:
            UnpicklingError: it is any other name.
        """
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which no CIFAR-10 file needs; it was not called")
        return _STAND_INS[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("refers to objects outside of it")


def _unpickle(members: dict[str, bytes], name: str) -> dict[Any, Any]:
    try:
        content = _Unpickler(io.BytesIO(members[name]), encoding="latin-1").load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(f"{name} cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} is not a table of images and labels")  # noqa: TRY004  # of the file
    return content
