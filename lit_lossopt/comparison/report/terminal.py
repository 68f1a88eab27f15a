"""The comparison on the terminal.

It has the answer in words and one row for each arm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, isinf, isnan, nan

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lit_lossopt.comparison.comparison import Arm, Comparison, Contrast, Decision, Estimate
from lit_lossopt.comparison.measures.trial import YARDSTICKS
from lit_lossopt.comparison.report.phrases import to_target
from lit_lossopt.comparison.report.units import unit
from lit_lossopt.core import names
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import bracketed, share, shown_place, significant, times
from lit_lossopt.core.terminal_text import on_one_line

# Characters of a line where the output is no terminal.
PIPED_WIDTH = 100
_LEAST_FOR_NAMES = 16
_ALIKE, _CLAIMED = "≈", "*"
_SCORES = [names.metric(split, quantity) for split in (names.VAL, names.TEST) for quantity in YARDSTICKS]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Where not all fit, those with the highest ``rank`` are left out first.
    """

    heading: str
    cells: tuple[str, ...]
    rank: int

    @property
    def width(self) -> int:
        """Characters, with the space between columns."""
        return 2 + max(cell_len(text) for text in (self.heading, *self.cells))


def show(comparison: Comparison, words: Sequence[str], console: Console | None = None) -> None:
    """Print words, table, notes, and which runs are missing."""
    console = console or plain_console()
    piped = not console.is_terminal
    console.print()
    for place, sentence in enumerate(words):
        console.print(_text(sentence, style="bold" if place == 0 else ""), soft_wrap=piped)
    console.print()
    console.print(arm_table(comparison, console.width, plain=piped))
    for note in [*_legend(comparison), *comparison.notes, *_missing(comparison)]:
        console.print(_text(note, style="dim"), soft_wrap=piped)


def plain_console() -> Console:
    """Return a console that prints to standard output, also in a notebook, where rich would show HTML beside it."""
    is_terminal = Console(force_jupyter=False).is_terminal
    return Console(width=None if is_terminal else PIPED_WIDTH, highlight=False, force_jupyter=False)


def arm_table(comparison: Comparison, width: int, *, plain: bool) -> Table:
    """Return the table of arms, best first.

    It has as many columns as fit into ``width`` characters.
    """
    names = [_clean(arm.name) for arm in comparison.arms]
    shown = [
        f"{_ALIKE} {name}" if _is_open(arm, comparison) else name
        for name, arm in zip(names, comparison.arms, strict=True)
    ]
    columns = [column for column in _columns(comparison) if any(column.cells)]
    longest = max(cell_len(name) for name in shown)
    room = width - 2 - max(_LEAST_FOR_NAMES, min(longest, width // 3))
    # A box has an edge at either side, and a space between two columns.
    while len(columns) > 1 and sum(column.width for column in columns) + (0 if plain else 2 + len(columns)) > room:
        columns.remove(max(columns, key=lambda column: column.rank))
    title = _text(f"{comparison.title}: {comparison.metric}, target {unit(comparison.metric).text(comparison.target)}")
    table = Table(
        title=title, title_justify="left", title_style="", box=None if plain else box.SIMPLE_HEAD, padding=(0, 1)
    )
    table.add_column("arm", overflow="fold", min_width=_LEAST_FOR_NAMES)
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for place, name in enumerate(shown):
        table.add_row(_text(name), *(_text(column.cells[place]) for column in columns))
    return table


def _columns(comparison: Comparison) -> list[Column]:
    metric = comparison.metric
    behind = {one.second: one for one in comparison.speeds if one.first in comparison.alike_speed[:1]}
    ended_well = all(set(arm.verdicts) <= {Verdict.COMPLETED} for arm in comparison.arms)

    def column(heading: str, rank: int, cell: Callable[[Arm], str]) -> Column:
        return Column(heading, tuple(cell(arm) for arm in comparison.arms), rank)

    known = {name for arm in comparison.arms for name in arm.scores}
    scores = [name for name in _SCORES if name in known]
    return [
        column("runs", 1, lambda arm: str(len(arm.trials)) if ended_well else _verdicts(arm)),
        column(f"final {unit(metric).sign}".strip(), 0, lambda arm: _shown(arm.final, metric)),
        column("best", 8, lambda arm: "" if isnan(arm.best.value) else unit(metric).bare(arm.best.value)),
        column(to_target(comparison), 2, _steps),
        column("behind by", 3, lambda arm: _behind(behind.get(arm.name))),
        column("seconds", 7, _seconds),
        column("climb-back", 4, lambda arm: "" if isnan(arm.climb_back.value) else share(arm.climb_back.value)),
        column("roughness", 5, lambda arm: _roughness(arm, metric)),
        column("ripple", 6, lambda arm: _number(arm.ripple.value)),
        *(
            column(name.replace("val/", ""), 9 + place, lambda arm, name=name: _score(arm, name))  # type: ignore[misc]  # the default binds the name
            for place, name in enumerate(scores)
        ),
    ]


def _legend(comparison: Comparison) -> list[str]:
    notes = []
    if any(_is_open(arm, comparison) for arm in comparison.arms):
        notes.append(f"{_ALIKE} {Decision.OPEN} from {comparison.alike[0]} by its final value.")
    if any(one.claimed for one in comparison.speeds):
        notes.append(f"{_CLAIMED} claimed: p below 0.05. Ratios are means of those seed by seed. [ ] 95 % intervals.")
    if any(one.missed[0] or one.missed[1] for one in comparison.speeds if one.test):
        notes.append("In ratios, a run that missed the target counts as if it had met it where the shorter run ended.")
    if comparison.comparisons:
        many = f"all {comparison.comparisons:,} differences" if comparison.comparisons > 1 else "the one difference"
        notes.append(f"p values and intervals of differences {_hold(comparison)} {many} that can be claimed here.")
    return notes


def _hold(comparison: Comparison) -> str:
    if comparison.race:
        return "hold at every look of the race, for"
    return "hold however often one adds seeds, for" if comparison.sequential else "are adjusted for"


def _missing(comparison: Comparison) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for one in comparison.left_out:
        reasons.setdefault(one.reason, []).append(one.name or one.run_id)
    return [
        f"Left out, {reason}: {_clean(', '.join(runs[:3]))}{f' and {len(runs) - 3} more' if len(runs) > 3 else ''}."
        for reason, runs in reasons.items()
    ]


def _is_open(arm: Arm, comparison: Comparison) -> bool:
    best = comparison.alike[0] if comparison.alike else ""
    return any(
        one.decision is Decision.OPEN and {one.first, one.second} == {arm.name, best} for one in comparison.finals
    )


def _shown(estimate: Estimate, metric: str) -> str:
    if isnan(estimate.value):
        return ""
    bare = unit(metric).bare
    return f"{bare(estimate.value)}{bracketed(estimate.low, estimate.high, bare)}"


def _steps(arm: Arm) -> str:
    steps = arm.steps_to_target
    if isinf(steps.value):
        return f"not in {shown_place(max(known))}" if (known := _ends(arm)) else "never"
    if isnan(steps.value):
        return ""
    return f"{_count(steps.value)}{bracketed(steps.low, steps.high, _count)}"


def _ends(arm: Arm) -> list[float]:
    """Return how far the arm's own runs went.

    For a run that ended early it is how far it would have gone.
    """
    logged = [float(trial.curve.steps[-1]) if len(trial.curve.steps) else nan for trial in arm.trials]
    ends = [trial.end if isfinite(trial.end) else end for trial, end in zip(arm.trials, logged, strict=True)]
    return [end for end in ends if isfinite(end)]


def _seconds(arm: Arm) -> str:
    """Return the seconds to the target.

    It is empty where the target was never reached. The steps already say so.
    """
    return _number(arm.seconds_to_target.value) if isfinite(arm.seconds_to_target.value) else ""


def _behind(contrast: Contrast | None) -> str:
    """Return how many times the first arm's steps the arm needs."""
    if contrast is None or isnan(contrast.difference.value):
        return ""
    if contrast.at_least and not contrast.claimed:
        return ""
    least = "≥ " if contrast.at_least else ""
    return f"{least}{times(contrast.difference.value)}{_CLAIMED if contrast.claimed else ''}"


def _verdicts(arm: Arm) -> str:
    """Return ``8``, or ``5 + 3 diverged``."""
    well = arm.verdicts.get(Verdict.COMPLETED, 0)
    others = [f"{count} {verdict}" for verdict, count in arm.verdicts.items() if verdict != Verdict.COMPLETED and count]
    return " + ".join([*([str(well)] if well or not others else []), *others])


def _roughness(arm: Arm, metric: str) -> str:
    """Return how rough the evaluations of an arm are.

    It is how far the metric goes up and down late in training, beyond its slope. That of an accuracy is in points.
    """
    value = unit(metric).factor * arm.roughness.value
    return "" if isnan(value) else significant(value, 2)


def _score(arm: Arm, name: str) -> str:
    return _number(arm.scores[name].value) if name in arm.scores else ""


def _number(value: float) -> str:
    return "" if isnan(value) else significant(value)


def _count(value: float) -> str:
    return "never" if isinf(value) else _number(value)


def _text(text: str, style: str = "") -> Text:
    return Text(_clean(text), style=style)


def _clean(text: str) -> str:
    return on_one_line(text)
