"""The known differences as a table. TensorFlow is not needed for it."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from lit_lossopt.keras_twin.explaining.differences import DIFFERENCES


def show_known(console: Console | None = None) -> None:
    """Print the table of known differences."""
    console = console or Console(width=None if Console().is_terminal else 120, highlight=False)
    table = Table(box=box.SIMPLE)
    for head in ("difference", "torch", "Keras", "write in Keras"):
        table.add_column(head, overflow="fold")
    for one in DIFFERENCES:
        table.add_row(one.name, one.torch, one.keras, one.in_keras)
    console.print(table)
