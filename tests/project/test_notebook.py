"""The notebook does the chapter's exercise from its first cell to its last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.places import ROOT

NOTEBOOK = ROOT / "examples" / "exercise.ipynb"


def cells(notebook: Any) -> list[Any]:
    """Return its cells with code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_it_can_be_read_with_its_outputs_where_nothing_runs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # its own
    nbformat.validate(notebook)
    shown = str([cell.outputs for cell in cells(notebook)])
    # A verdict, a table, pictures, and no script that a public host would take away.
    assert "<strong>" in shown
    assert "<table" in shown
    assert shown.count("image/png") >= 4
    assert "<script" not in shown
    assert [cell.execution_count for cell in cells(notebook)] == list(range(1, len(cells(notebook)) + 1))
    assert NOTEBOOK.stat().st_size < 1_500_000
    assert str(ROOT) not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.usefixtures("store")
def test_it_runs_from_first_to_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # its own
    NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(Path.cwd())}}
    ).execute()
    said = str([cell.outputs for cell in cells(notebook)])
    assert "reaches" in said
    assert Path("weight_decay.html").is_file()
