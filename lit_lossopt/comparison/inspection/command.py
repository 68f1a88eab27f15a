"""The command ``lossopt inspect``.

A run comes in. What is known of why it behaves so is printed, and written to a page if that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from rich import box
from rich.table import Table
from rich.text import Text

from lit_lossopt.comparison.addresses import runs_address
from lit_lossopt.comparison.comparison import ArmRuns, Comparison
from lit_lossopt.comparison.inspection.request import parse
from lit_lossopt.comparison.inspection.summary import LayerRow, layer_rows, sentences, shown_share
from lit_lossopt.comparison.metric import choose_metric, higher_is_better
from lit_lossopt.comparison.pipeline import compare_arms
from lit_lossopt.comparison.report.terminal import plain_console
from lit_lossopt.comparison.report.verdict.convergence import final
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Exit
from lit_lossopt.core.numbers import significant
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.program import typed
from lit_lossopt.core.terminal_text import on_one_line
from lit_lossopt.tracking.reading.runs import Run, read_runs, with_histories


def inspect(words: Sequence[str]) -> int:
    """Print what is known of one run, and return the exit status.

    Raises:
        UserError: there is no such run, or its page cannot be made.
    """
    options = parse(words)
    run = _run(options.run)
    said = sentences(run)
    try:
        comparison: Comparison | None = curves_of(run, options.metric)
    except UserError as error:
        if options.html or options.metric:
            raise UserError(f"inspect: there are no curves of {run.name or run.run_id}. {error}") from error
        comparison = None
    if comparison:
        said += final(comparison)
    _show(run, said)
    if comparison and options.html:
        _write(comparison, said, options.html)
    elif comparison:
        print(f"\nWith curves: {typed(['inspect', run.run_id, '--html', 'run.html'])}")
    return Exit.DONE


def _run(word: str | None) -> Run:
    """Return the run that a word names, or the newest one that is a training."""
    if word:
        return read_runs(run_ids=[word], metrics=None)[0]
    trainings = [run for run in read_runs() if not any(tag in run.tags for tag in names.TAGS_OF_NO_RESULT)]
    if not trainings:
        raise UserError("inspect: there is no training in the newest experiment. Name a run")
    return with_histories(trainings[-1:])[0]


def curves_of(run: Run, metric: str | None = None) -> Comparison:
    """Return the comparison of a run with no other, for its curves.

    Raises:
        UserError: it has none.
    """
    chosen = choose_metric([run], metric)
    higher = higher_is_better(chosen, None)
    arm = ArmRuns(run.name or run.run_id, run.name, {}, nan, (run,))
    return compare_arms(
        [arm],
        title=run.name or run.run_id,
        metric=chosen,
        higher_is_better=higher,
        target=None,
        by=(),
        runs_address=runs_address(),
    )


def _show(run: Run, said: Sequence[str]) -> None:
    console = plain_console()
    piped = not console.is_terminal
    console.print()
    for place, sentence in enumerate(said):
        console.print(Text(on_one_line(sentence), style="bold" if place == 0 else ""), soft_wrap=piped)
    rows = layer_rows(run)
    if rows:
        console.print()
        console.print(_table(rows, plain=piped))


def _table(rows: Sequence[LayerRow], *, plain: bool) -> Table:
    """Return the table of layers, the outputs on top as in the page's figures."""
    table = Table(
        title="layers, outputs first: medians over the measured steps",
        title_justify="left", title_style="", box=None if plain else box.SIMPLE_HEAD, padding=(0, 1),
    )  # fmt: skip
    known = _columns(rows)
    table.add_column("layer", overflow="fold")
    for heading in known:
        table.add_column(heading, justify="right", no_wrap=True)
    for place in reversed(range(len(rows))):
        cells = (cells[place] for cells in known.values())
        table.add_row(Text(on_one_line(rows[place].name)), *map(Text, cells))
    return table


def _columns(rows: Sequence[LayerRow]) -> dict[str, list[str]]:
    """Return heading → cells, for those columns that have any."""
    columns = {
        "gradient": [significant(row.gradient) for row in rows],
        "weights": [significant(row.weights) for row in rows],
        "update ratio": [significant(row.update, 2) for row in rows],
        "dead": [shown_share(row.dead) for row in rows],
        "saturated": [shown_share(row.saturated) for row in rows],
    }
    return {heading: cells for heading, cells in columns.items() if any(cells)}


def _write(comparison: Comparison, said: Sequence[str], place: str) -> None:
    from lit_lossopt.comparison.report.page import write_page

    try:
        write_page(comparison, said, given_path(place))
    except OSError as error:
        raise UserError(f"inspect --html {place}: cannot be written: {error.strerror or error}") from error
    print(f"html: {place}")
