"""Writes small archives in CIFAR-10's official format: a tar.gz of pickles as Python 2 and its numpy wrote them."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from lit_lossopt.data.cifar10_archive import CLASS_NAMES, FOLDER

Members = dict[str, bytes]


def python2_pickle(content: dict[str, Any]) -> bytes:
    """Return what ``cPickle.dump(content, file, 2)`` of Python 2 wrote for strings, numbers, lists and byte arrays."""
    return b"\x80\x02" + _value(content) + b"."


def _value(value: dict[str, Any] | list[Any] | np.ndarray[Any, Any] | str | bytes | int) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_value(key) + _value(item) for key, item in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(_value(item) for item in value) + b"e"
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    raw: bytes = value.encode() if isinstance(value, str) else value
    return b"T" + struct.pack("<i", len(raw)) + raw


def _array(array: np.ndarray[Any, Any]) -> bytes:
    """Return ``_reconstruct(ndarray, (0,), 'b')`` and its state, with names as they were before numpy 2."""
    name: str = array.dtype.str[1:]
    dtype = b"cnumpy\ndtype\n" + b"U" + bytes([len(name)]) + name.encode() + b"K\x00K\x01\x87R"
    dtype += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"(" + b"".join(_value(length) for length in array.shape) + b"t"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return made + b"(K\x01" + shape + dtype + b"\x89" + _value(array.tobytes()) + b"tb"


def members(images_a_batch: int = 20) -> Members:
    """Return the content of an archive: five batches and a test batch of random images, labels in turn."""
    random = np.random.default_rng(0)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    labels = [index % 10 for index in range(images_a_batch)]
    made = {
        name: python2_pickle(
            {
                "batch_label": f"{name} of a test",
                "labels": labels,
                "data": random.integers(0, 256, (images_a_batch, 3072), dtype=np.uint8),
                "filenames": [f"{CLASS_NAMES[label]}_s_{index:06}.png" for index, label in enumerate(labels)],
            }
        )
        for name in names
    }
    made["batches.meta"] = python2_pickle({"num_cases_per_batch": images_a_batch, "label_names": CLASS_NAMES})
    return {**made, "readme.html": b"<html></html>"}


def write_archive(path: Path, content: Members, *others: tarfile.TarInfo) -> Path:
    """Write the archive; ``others`` are further members without content."""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        folder = tarfile.TarInfo(FOLDER)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, payload in content.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(payload)
            tar.addfile(member, io.BytesIO(payload))
        for member in others:
            tar.addfile(member)
    return path


def table(payload: bytes) -> dict[str, Any]:
    """Read a pickle as everybody does."""
    content: dict[str, Any] = pickle.loads(payload, encoding="latin1")  # noqa: S301  # ours
    return content
