"""A folder for logs of other programs."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Return an empty folder."""
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder
