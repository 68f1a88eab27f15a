"""Decoded images, kept on disk.

The same files are decoded once. Two steps find what is kept. The files' signature (path, inode, size, times of change)
leads to the key of their content, and the key to the pixels. Files that were touched are hashed again, and files that
were changed are decoded again.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL
from tqdm import tqdm

from lit_lossopt.core.terminal_text import is_bare_terminal
from lit_lossopt.data.array_cache import Arrays, cached_arrays, keep_file, user_cache
from lit_lossopt.data.decoding import RULES_VERSION, DecodingRules, Pixels, UnusableImage, decode_image

# Nanoseconds. A file that changes twice within the clock's grain looks unchanged, so younger signatures are not
# trusted.
_GRAIN_NS = 2_000_000_000
_NAMES = ("pixels", "positions", "reasons")


@dataclass(frozen=True)
class DecodedImages:
    """The images of some files.

    Attributes:
        pixels: ``[M, size, size, 3]`` uint8, of the files that could be decoded, in their order.
        refused: positions of the other files, and why they could not be decoded.
    """

    pixels: Pixels
    refused: dict[int, str] = field(default_factory=dict)


def read_images(files: Sequence[Path], rules: DecodingRules, cache: Path) -> DecodedImages:
    """Return the decoded files.

    They come from ``cache`` if files of the same content were decoded by the same rules before.
    """
    seen = [_look_at(file) for file in files]
    unreachable = {position: reason for position, reason in enumerate(seen) if isinstance(reason, str)}
    places = [position for position in range(len(files)) if position not in unreachable]
    stats = [status for status in seen if not isinstance(status, str)]
    decoded = _read_reachable([files[position] for position in places], stats, rules, cache)
    refused = unreachable | {places[position]: reason for position, reason in decoded.refused.items()}
    return DecodedImages(decoded.pixels, dict(sorted(refused.items())))


def _look_at(file: Path) -> os.stat_result | str:
    """Return the status of a file, or why it cannot be read."""
    try:
        status = file.stat()
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISREG(status.st_mode):
        return "not a file"
    return status if os.access(file, os.R_OK) else "Permission denied"


def _read_reachable(
    files: Sequence[Path], stats: Sequence[os.stat_result], rules: DecodingRules, cache: Path
) -> DecodedImages:
    settled = time.time_ns() - _GRAIN_NS
    note = cache / f"{_signature(files, stats, rules)}.key"
    known = _noted_key(note)
    key = known or _content_key(files, rules)
    if key is None:
        return decode_all(files, rules)
    arrays = cached_arrays(cache / f"{key}.npz", _NAMES, lambda: _as_arrays(decode_all(files, rules)))
    if known is None and all(status.st_ctime_ns < settled for status in stats):
        keep_file(note, lambda file: file.write(key.encode("ascii")))
    refused = zip(arrays["positions"].tolist(), arrays["reasons"].tolist(), strict=True)
    return DecodedImages(arrays["pixels"], dict(refused))


def decode_all(files: Sequence[Path], rules: DecodingRules) -> DecodedImages:
    """Return the decoded files, which are decoded one by one.

    Threads gained nothing on two cores, for small images or large ones.
    """
    pixels = np.empty((len(files), rules.size, rules.size, 3), dtype=np.uint8)
    refused: dict[int, str] = {}
    for position, file in enumerate(with_bar(files, "decoding images")):
        try:
            pixels[position - len(refused)] = decode_image(file, rules)
        except UnusableImage as error:
            refused[position] = str(error)
    return DecodedImages(pixels[: len(files) - len(refused)], refused)


def default_cache() -> Path:
    """Return the folder for decoded images, below ``XDG_CACHE_HOME`` or ``~/.cache``."""
    return user_cache() / "images"


def with_bar(files: Sequence[Path], what: str) -> tqdm[Path]:
    """Return the files behind a progress bar.

    It shows only on a terminal where nothing else is drawn, and after a second.
    """
    return tqdm(files, desc=what, unit="file", delay=1, disable=not is_bare_terminal(sys.stderr), leave=False)


def _signature(files: Sequence[Path], stats: Sequence[os.stat_result], rules: DecodingRules) -> str:
    digest = hashlib.sha256(_rules_key(rules))
    for file, status in zip(files, stats, strict=True):
        known = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(f"{file.absolute()}\0{known}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _noted_key(note: Path) -> str | None:
    """Return the key in a note, or None without a valid one."""
    try:
        content = note.read_bytes()
    except OSError:
        return None
    return content.decode() if re.fullmatch(rb"[0-9a-f]{64}", content) else None


def _content_key(files: Sequence[Path], rules: DecodingRules) -> str | None:
    """Return a digest of the files' content.

    It is None if a file cannot be read to its end.
    """
    digest = hashlib.sha256(_rules_key(rules))
    try:
        for file in with_bar(files, "reading images"):
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    except OSError:
        return None
    return digest.hexdigest()


def _rules_key(rules: DecodingRules) -> bytes:
    return f"{RULES_VERSION} Pillow {PIL.__version__} {rules}".encode()


def _as_arrays(decoded: DecodedImages) -> Arrays:
    positions = np.array(list(decoded.refused), dtype=np.int64)
    reasons = np.array(list(decoded.refused.values()), dtype=np.str_)
    return {"pixels": decoded.pixels, "positions": positions, "reasons": reasons}
