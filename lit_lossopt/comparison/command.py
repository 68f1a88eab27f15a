"""The command ``lossopt compare``.

Flags come in. The comparison is printed, and written to files if that was asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import quote

from lit_lossopt.comparison.addresses import runs_address
from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared, find_runs
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Exit
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.program import typed
from lit_lossopt.tracking.reading.runs import Experiment


def compare(words: Sequence[str]) -> int:
    """Compare runs, print the comparison, and return the exit status.

    Raises:
        UserError: a flag, name or filter does not fit, or nothing can be compared.
    """
    show_comparison(words)
    return Exit.DONE


def show_comparison(words: Sequence[str]) -> tuple[Comparison, Sequence[str]]:
    """Compare runs, print the comparison, and return it with its sentences.

    Raises:
        UserError: as from ``compare``.
    """
    options = parse(words)
    selected = find_runs(options)
    if options.log and len(selected.experiments) != 1:
        count = len(selected.experiments)
        raise UserError(
            f"--log: a comparison is kept in one experiment, but the runs are of {count}. Compare those of one"
        )
    comparison = compared(selected.runs, options, title=selected.title)
    sentences = answer(comparison)
    # Imported late, so that a mistyped flag is answered at once.
    from lit_lossopt.comparison.report.terminal import show

    show(comparison, sentences)
    _write(comparison, sentences, options.html, options.png, options.csv)
    if options.log:
        _log(comparison, sentences, selected.experiments[0])
    if not options.html:
        print(f"\nWith curves and every number: {typed(['compare', *words, '--html', 'report.html'])}")
    return comparison, sentences


def _write(
    comparison: Comparison, sentences: Sequence[str], page: str | None, figures: str | None, tables: str | None
) -> None:
    """Write page, figures and tables, and print where they are.

    Raises:
        UserError: one cannot be written.
    """
    if page:
        from lit_lossopt.comparison.report.page import write_page

        _written("--html", page, partial(write_page, comparison, sentences))
    if figures:
        from lit_lossopt.comparison.report.paper_figures import write_figures

        _written("--png", figures, partial(write_figures, comparison))
    if tables:
        from lit_lossopt.comparison.report.csv_files import write_tables

        _written("--csv", tables, partial(write_tables, comparison))


def _written(flag: str, place: str, write: Callable[[Path], object]) -> None:
    try:
        write(given_path(place))
    except OSError as error:
        raise UserError(f"compare {flag} {place}: cannot be written: {error.strerror or error}") from error
    print(f"{flag.removeprefix('--')}: {place}")


def _log(comparison: Comparison, sentences: Sequence[str], experiment: Experiment) -> None:
    """Keep the comparison as a run of the experiment."""
    from lit_lossopt.tracking.comparison_log import log_comparison

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(comparison, sentences, f"{folder}/report.html", f"{folder}/figures", f"{folder}/tables")
        run_id = log_comparison(experiment.experiment_id, folder, "\n\n".join(sentences))
    page = runs_address().format(experiment_id=quote(experiment.experiment_id), run_id=run_id)
    print(f"kept as run {run_id}{f': {page}' if page else ''}")
