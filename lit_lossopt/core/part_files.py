"""Files that are being written beside their final names, and what killed processes leave of them."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

_PART = ".part"


def part_of(path: Path) -> Path:
    """Return a name of its own beside ``path``: on the same file system, unlike a temporary folder."""
    return path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}{_PART}")


def remove_parts(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder; nobody else may be writing there."""
    for part in folder.glob(f".*{_PART}"):
        with suppress(OSError):
            part.unlink(missing_ok=True)
