"""An explanation as a table: on the terminal, in Markdown, as a page, and as numbers."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from lit_lossopt.core.numbers import UNKNOWN, counted, difference, significant
from lit_lossopt.keras_twin.explaining.attribution import Attribution, Share
from lit_lossopt.keras_twin.explaining.differences import BY_NAME
from lit_lossopt.keras_twin.explaining.experiment import Experiment
from lit_lossopt.keras_twin.markdown import markdown_table
from lit_lossopt.keras_twin.pages import page_of

HEADS = ("difference", "explains", "alone", "torch", "Keras", "write in Keras")
_NUMBERS = HEADS[:3]
_NOTE = (
    "explains: the share of the gap that is gone when this difference alone is settled. alone: the gap that it makes "
    "by itself. The shares need not sum to 100 %."
)
# A gap below this is rounding.
_NOTHING = 1e-9


def verdict(found: Attribution, experiment: Experiment) -> str:
    """Return what was found, in a sentence or two."""
    steps = counted(len(experiment.rates), "step")
    if not found.shares or found.gap < _NOTHING:
        return (
            f"{_title(experiment)}: both frameworks agree over {steps}. Their losses differ by "
            f"{difference(found.gap)} in the mean."
        )
    first = found.shares[0]
    return (
        f"{_title(experiment)}: over {steps} the losses differ by {significant(found.gap)} in the mean. {first.name} "
        f"makes {_share(first.alone)} of that by itself, and settling it alone takes {_share(first.explains)} away. "
        f"With everything settled, {_share(found.remainder)} is left."
    )


def show(found: Attribution, experiment: Experiment, console: Console | None = None) -> None:
    """Print the table."""
    console = console or Console(width=None if Console().is_terminal else 120, highlight=False)
    console.print(verdict(found, experiment), style="bold")
    table = Table(box=box.SIMPLE)
    for head in _NUMBERS:
        table.add_column(head, overflow="fold", justify="left" if head == HEADS[0] else "right")
    for share in found.shares:
        table.add_row(*_cells(share, experiment)[: len(_NUMBERS)])
    console.print(table)
    for share in found.shares:
        one = BY_NAME[share.name].of(experiment.optimizer, _limit(experiment))
        console.print(f"{one.name}\n  torch: {one.torch}\n  Keras: {one.keras}\n  write in Keras: {one.in_keras}")
    console.print(" ".join(notes(found)), style="dim")


def markdown(found: Attribution, experiment: Experiment) -> str:
    """Return the table in Markdown."""
    table = markdown_table(HEADS, [_cells(share, experiment) for share in found.shares])
    lines = [verdict(found, experiment), "", *table, "", " ".join(notes(found)), ""]
    return "\n".join(lines)


def page(found: Attribution, experiment: Experiment) -> str:
    """Return the table as a page of HTML."""
    return page_of(
        "explain.html",
        title="PyTorch and TensorFlow, explained",
        verdict=verdict(found, experiment),
        note=" ".join(notes(found)),
        heads=HEADS,
        rows=[_cells(share, experiment) for share in found.shares],
        known=[BY_NAME[share.name].of(experiment.optimizer, _limit(experiment)) for share in found.shares],
    )


def as_json(found: Attribution, experiment: Experiment) -> str:
    """Return every number."""
    return json.dumps({"optimizer": experiment.optimizer, "rates": list(experiment.rates), **asdict(found)}) + "\n"


def notes(found: Attribution) -> list[str]:
    """Return how the table is to be read."""
    if found.reseeded is None:
        return [_NOTE]
    return [
        _NOTE,
        f"The initialisation is one draw. Another seed of torch's initial weights makes {_share(found.reseeded)}.",
    ]


def _title(experiment: Experiment) -> str:
    return f"{experiment.optimizer} on {type(experiment.criterion).__name__}"


def _cells(share: Share, experiment: Experiment) -> tuple[str, ...]:
    one = BY_NAME[share.name].of(experiment.optimizer, _limit(experiment))
    return share.name, _share(share.explains), _share(share.alone), one.torch, one.keras, one.in_keras


def _limit(experiment: Experiment) -> float:
    return 1.0 if experiment.clip is None else experiment.clip.limit


def _share(value: float) -> str:
    if math.isnan(value):
        return UNKNOWN
    text = significant(100 * value, 2) if abs(value) >= 1e-3 or value == 0 else "<0.1" if value > 0 else "0"
    return f"{text} %"
