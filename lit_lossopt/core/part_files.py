"""Files that are written beside their final names.

Killed processes leave some of them.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

_PART = ".part"


def part_of(path: Path) -> Path:
    """Return a new name beside ``path``.

    Unlike a temporary folder it is on the same file system.
    """
    return path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}{_PART}")


def remove_parts(folder: Path) -> None:
    """Remove what killed writers have left in a folder.

    Nobody else may write there at the same time.
    """
    for part in folder.glob(f".*{_PART}"):
        with suppress(OSError):
            part.unlink(missing_ok=True)
