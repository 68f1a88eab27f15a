"""The command ``lossopt compare``.

Flags come in. The comparison is printed, and written to files if that was asked for.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lit_lossopt.comparison.addresses import runs_address
from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.expectations import Expectation, answer_of
from lit_lossopt.comparison.flags import parse, without_places
from lit_lossopt.comparison.pipeline import compared, find_runs
from lit_lossopt.comparison.record.records import Request
from lit_lossopt.comparison.record.text import as_text, as_tree, write_json
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.comparison.report.verdict.expected import in_words, judge_expectations
from lit_lossopt.comparison.stages import Found
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.program import typed
from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.reading.runs import Experiment

# In place of a file's name.
STANDARD_OUTPUT = "-"


@dataclass(frozen=True)
class Shown:
    """A comparison that was shown.

    Attributes:
        comparison: what was found.
        sentences: the verdict, a sentence each.
        expectations: what was expected, and what was found.
        request: what was asked for.
    """

    comparison: Comparison
    sentences: Sequence[str]
    expectations: Sequence[Expectation]
    request: Request

    @property
    def words(self) -> list[str]:
        """The verdict, and then what was expected."""
        return [*self.sentences, *map(in_words, self.expectations)]

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """All of it as plain values."""
        # Imported late, because figures come with it.
        from lit_lossopt.comparison.record.build import record_of

        found: Mapping[str, Any] = as_tree(record_of(self.comparison, self.sentences, self.expectations, self.request))
        return found


def compare(words: Sequence[str]) -> int:
    """Compare runs, print the comparison, and return the exit status.

    Raises:
        UserError: a flag, name or filter does not fit, or nothing can be compared.
    """
    if parse(words).json != STANDARD_OUTPUT:
        return answer_of(show_comparison(words).expectations)
    with redirect_stdout(sys.stderr):
        shown = show_comparison(words)
    sys.stdout.write(as_text(shown.record))
    return answer_of(shown.expectations)


def show_comparison(words: Sequence[str]) -> Shown:
    """Compare runs, print the comparison, and return it.

    Raises:
        UserError: as from ``compare``.
    """
    options = parse(words)
    selected = find_runs(options)
    shown = found_by(words, selected)
    # Imported late, so that a mistyped flag is answered at once.
    from lit_lossopt.comparison.report.terminal import show

    show(shown.comparison, shown.words)
    keep(shown, options, selected)
    if not options.html:
        print(f"\nWith curves and every number: {typed(['compare', *words, '--html', 'report.html'])}")
    return shown


def found_by(words: Sequence[str], selected: Found) -> Shown:
    """Return the comparison of runs, and print nothing.

    Args:
        words: the flags.
        selected: the runs, without histories.

    Raises:
        UserError: as from ``compare``.
    """
    options = parse(words)
    if options.log and len(selected.experiments) != 1:
        count = len(selected.experiments)
        raise UserError(
            f"--log: a comparison is kept in one experiment, but the runs are of {count}. Compare those of one"
        )
    comparison = compared(selected.runs, options, title=selected.title)
    expectations = judge_expectations(options.expect, comparison)
    sentences = answer(comparison)
    asked = without_places(words)
    if not (options.experiment or options.runs):
        # Later another one may be the newest.
        asked = [*asked, "--experiment", selected.title]
    ids = tuple(run.run_id for run in selected.runs)
    request = Request(tuple(map(redact, asked)), ids, comparison.runs_address)
    return Shown(comparison, sentences, expectations, request)


def keep(shown: Shown, options: Namespace, selected: Found) -> None:
    """Write the files that were asked for, and log the comparison if that was.

    Raises:
        UserError: one cannot be written.
    """
    _write(shown, options.html, options.png, options.csv, options.json)
    if options.log:
        _log(shown, selected.experiments[0])


def _write(shown: Shown, page: str | None, figures: str | None, tables: str | None, record: str | None) -> None:
    """Write page, figures, tables and JSON, and print where they are.

    Raises:
        UserError: one cannot be written.
    """
    comparison = shown.comparison
    if page:
        from lit_lossopt.comparison.report.page import write_page

        _written("--html", page, partial(write_page, comparison, shown.words, record=shown.record))
    if figures:
        from lit_lossopt.comparison.report.paper_figures import write_figures

        _written("--png", figures, partial(write_figures, comparison))
    if tables:
        from lit_lossopt.comparison.report.csv_files import write_tables

        _written("--csv", tables, partial(write_tables, comparison))
    if record and record != STANDARD_OUTPUT:
        _written("--json", record, partial(write_json, shown.record))


def _written(flag: str, place: str, write: Callable[[Path], object]) -> None:
    try:
        write(given_path(place))
    except OSError as error:
        raise UserError(f"compare {flag} {place}: cannot be written: {error.strerror or error}") from error
    print(f"{flag.removeprefix('--')}: {place}")


def _log(shown: Shown, experiment: Experiment) -> None:
    """Keep the comparison as a run of the experiment."""
    from lit_lossopt.tracking.comparison_log import log_comparison

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(shown, f"{folder}/report.html", f"{folder}/figures", f"{folder}/tables", f"{folder}/comparison.json")
        run_id = log_comparison(experiment.experiment_id, folder, "\n\n".join(shown.words))
    page = runs_address().format(experiment_id=quote(experiment.experiment_id), run_id=run_id)
    print(f"kept as run {run_id}{f': {page}' if page else ''}")
