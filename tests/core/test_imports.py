"""Garbage is looked for again, whatever an import does."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from lit_lossopt.core.imports import import_for_good


@pytest.mark.parametrize("looks", [True, False])
def test_garbage_is_looked_for_behind_an_import_as_before_it(
    looks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"sound_{looks}.py").write_text("import gc\nseen = gc.isenabled()\n")
    (tmp_path / f"broken_{looks}.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    if not looks:
        gc.disable()
    try:
        assert import_for_good(f"sound_{looks}").seen is False
        assert gc.isenabled() is looks
        with pytest.raises(ZeroDivisionError):
            import_for_good(f"broken_{looks}")
        assert gc.isenabled() is looks
    finally:
        gc.enable()
