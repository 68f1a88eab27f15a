"""A check as tables: on the terminal, in Markdown, as a page, and as numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from lit_lossopt.core.numbers import counted, difference, named
from lit_lossopt.keras_twin.checking.gap import Gap
from lit_lossopt.keras_twin.checking.pairs import COLUMNS, DEFAULTS, MATCHED, PAIRS, TORCH_RULE
from lit_lossopt.keras_twin.checking.request import STEPS, TOLERANCE
from lit_lossopt.keras_twin.markdown import markdown_table
from lit_lossopt.keras_twin.pages import page_of

HEADS = {
    DEFAULTS: "as each framework defaults",
    MATCHED: "settings matched",
    TORCH_RULE: "torch's rule in Keras",
}
_NOTE = (
    "How far both frameworks are apart at most, over all steps: the distance of all weights relative to the way from "
    "the start, or the difference of the losses relative to torch's, whichever is larger. In brackets: the first step "
    f"at which it is above {TOLERANCE:g}."
)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        optimizer: its name.
        gaps: one for each column.
        remains: what differs when settings are matched.
    """

    optimizer: str
    gaps: tuple[Gap, ...]
    remains: str


@dataclass(frozen=True)
class Section:
    """A table.

    Attributes:
        title: images and loss.
        rows: of the table.
    """

    title: str
    rows: tuple[Row, ...]


def verdict(gaps: Sequence[Gap]) -> str:
    """Return what the check found, in a sentence."""
    ours = [gap for gap in gaps if gap.column == TORCH_RULE]
    wrong = [f"{gap.optimizer} with {gap.loss} on {gap.images}" for gap in ours if not gap.agrees]
    steps = min(STEPS, len(ours[0].losses))
    if wrong:
        return f"By torch's rule, {named(wrong)} differ by more than {TOLERANCE:g} within {counted(steps, 'step')}."
    largest = max(max(gap.by_step[:steps]) for gap in ours)
    pairs = f"{counted(len(ours), 'pair')} of loss and optimizer {'agrees' if len(ours) == 1 else 'agree'}"
    return (
        f"By torch's rule, {pairs} within {TOLERANCE:g} over {counted(steps, 'step')}. The largest difference is "
        f"{largest:.1e}."
    )


def agrees(gaps: Iterable[Gap]) -> bool:
    """Return whether all pairs agree by torch's rule."""
    return all(gap.agrees for gap in gaps if gap.column == TORCH_RULE)


def sections(gaps: Sequence[Gap]) -> list[Section]:
    """Return a table for each kind of images and each loss."""
    tables: dict[str, dict[str, list[Gap]]] = {}
    for gap in gaps:
        tables.setdefault(f"{gap.loss}, {gap.images}", {}).setdefault(gap.optimizer, []).append(gap)
    return [
        Section(title, tuple(Row(name, tuple(own), PAIRS[name].remains) for name, own in rows.items()))
        for title, rows in tables.items()
    ]


def cell(gap: Gap) -> str:
    """Return a difference, and the first step at which it is above the tolerance."""
    return f"{difference(gap.largest)}{f' [{gap.first_step}]' if gap.first_step else ''}"


def show(gaps: Sequence[Gap], console: Console | None = None) -> None:
    """Print the tables and the verdict."""
    console = console or Console(width=None if Console().is_terminal else 120, highlight=False)
    for section in sections(gaps):
        table = Table(box=box.SIMPLE, title=section.title, title_justify="left")
        for head in ("optimizer", *HEADS.values(), "what remains when matched"):
            table.add_column(head, overflow="fold")
        for row in section.rows:
            table.add_row(row.optimizer, *map(cell, row.gaps), row.remains)
        console.print(table)
    console.print(_NOTE, style="dim")
    console.print(verdict(gaps), style="bold")


def markdown(gaps: Sequence[Gap]) -> str:
    """Return the tables in Markdown."""
    lines = [verdict(gaps), "", _NOTE, ""]
    for section in sections(gaps):
        heads = ["optimizer", *HEADS.values(), "what remains when matched"]
        rows = [[row.optimizer, *map(cell, row.gaps), row.remains] for row in section.rows]
        lines += [f"### {section.title}", "", *markdown_table(heads, rows), ""]
    return "\n".join(lines)


def page(gaps: Sequence[Gap]) -> str:
    """Return the tables as a page of HTML, with the growth of each difference as a small curve."""
    return page_of(
        "check.html",
        title="PyTorch and TensorFlow, step by step",
        verdict=verdict(gaps),
        note=_NOTE,
        heads=list(HEADS.values()),
        sections=sections(gaps),
        cell=cell,
        curve=curve,
        steps=len(gaps[0].losses),
    )


def curve(gap: Gap, width: int = 120, height: int = 28) -> str:
    """Return the points of a line, by step and by the logarithm of the difference, from 1e-17 to 10."""
    low, high = -17.0, 1.0
    last = max(1, len(gap.by_step) - 1)
    points = []
    for step, apart in enumerate(gap.by_step):
        level = high if math.isinf(apart) else min(high, max(low, math.log10(apart))) if apart else low
        points.append(f"{width * step / last:.1f},{height * (high - level) / (high - low):.1f}")
    return " ".join(points)


def as_json(gaps: Sequence[Gap]) -> str:
    """Return every number."""
    return json.dumps({"tolerance": TOLERANCE, "columns": COLUMNS, "gaps": [asdict(gap) for gap in gaps]}) + "\n"


def read_json(tree: dict[str, Any]) -> list[Gap]:
    """Return the gaps that were written as JSON."""
    return [Gap(**{**one, "losses": tuple(one["losses"]), "weights": tuple(one["weights"])}) for one in tree["gaps"]]
