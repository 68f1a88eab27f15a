"""The command ``lossopt compare``.

It reads runs, groups them into arms, compares them and shows what was found.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from lit_lossopt.comparison.comparison import Comparison
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.grouping.arms import group
from lit_lossopt.comparison.grouping.candidates import candidates, notes_on, without_comparisons
from lit_lossopt.comparison.grouping.loss_names import evaluation_losses, training_losses
from lit_lossopt.comparison.grouping.units import as_shares, typed_margin, typed_target
from lit_lossopt.comparison.measures.clocks import LOGGED_EPOCH
from lit_lossopt.comparison.measures.judged import judged, judged_note
from lit_lossopt.comparison.measures.trial import YARDSTICKS
from lit_lossopt.comparison.metric import choose_metric, default_margin, higher_is_better, is_accuracy
from lit_lossopt.comparison.pipeline import compare_arms
from lit_lossopt.comparison.report.verdict import answer
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.program import typed
from lit_lossopt.tracking.addresses import is_server, tracking_uri
from lit_lossopt.tracking.next_steps import LOCAL_PAGE, TRAINING
from lit_lossopt.tracking.reading.runs import (
    Experiment,
    Run,
    experiments_of,
    find_experiment,
    read_runs,
    with_histories,
)

# What says where on an axis an evaluation lies.
_CLOCKS = (names.TRAIN_SECONDS, names.EXAMPLES, names.EPOCHS, LOGGED_EPOCH)
_YARDSTICKS = [names.metric(part, quantity) for part in (names.VAL, names.TEST) for quantity in YARDSTICKS]


def compare(words: Sequence[str]) -> int:
    """Compare runs, print the result and return the exit status.

    Raises:
        UserError: a flag, name or filter does not fit, or nothing can be compared.
    """
    show_comparison(words)
    return 0


def show_comparison(words: Sequence[str]) -> tuple[Comparison, Sequence[str]]:
    """Compare runs, print the result and return it.

    The second value is the answer in words.

    Raises:
        UserError: as from ``compare``.
    """
    options = parse(words)
    runs, experiments = _read(options)
    if options.log and len(experiments) != 1:
        raise UserError(f"--log: the runs are of {len(experiments)} experiments; a comparison is kept in one")
    comparison = compared(runs, options, title=", ".join(one.name for one in experiments))
    said = answer(comparison)
    from lit_lossopt.comparison.report.terminal import show

    show(comparison, said)
    _write(comparison, said, options.html, options.png, options.csv)
    if options.log:
        _log(comparison, said, experiments)
    if not options.html:
        print(f"\nWith curves and every number: {typed(['compare', *words, '--html', 'report.html'])}")
    return comparison, said


def compared(runs: Sequence[Run], options: Namespace, title: str) -> Comparison:
    """Return the comparison of runs that were read without histories."""
    metric = choose_metric([run for run in without_comparisons(runs) if not run.deleted], options.metric)
    higher = higher_is_better(metric, options.higher_is_better)
    kept, left = candidates(runs, metric)
    if not kept:
        reasons = "; ".join(sorted({one.reason for one in left})) or "there are none"
        raise UserError(f"no runs to compare in {title}: {reasons}")
    read = _with_curves(kept, metric)
    kept = judged(read, metric)
    grouping, in_per_cent = as_shares(group(kept, options.by, options.ignore, options.seed_name), metric, _YARDSTICKS)
    margin = default_margin(metric) if options.margin is None else options.margin
    said = [f"{name} was logged from 0 to 100; tables hold it from 0 to 1" for name in in_per_cent]
    return compare_arms(
        grouping.arms,
        title=title,
        metric=metric,
        higher_is_better=higher,
        target=typed_target(options.target, metric),
        by=grouping.by,
        all_pairs=options.all_pairs,
        margin=typed_margin(margin, metric, in_per_cent=metric in in_per_cent),
        tuning=grouping.tuning,
        left_out=left,
        notes=(*grouping.notes, *judged_note(read, kept), *notes_on(kept), *said),
        runs_address=_runs_address(),
    )


def _read(options: Namespace) -> tuple[list[Run], list[Experiment]]:
    """Return the runs that were asked for, and their experiments."""
    experiment = None if options.runs else find_experiment(options.experiment)
    found = read_runs(experiment.name if experiment else options.experiment, options.filter, options.runs, deleted=True)
    if not found:
        where = f" that --filter {options.filter!r} leaves" if options.filter else ""
        raise UserError(f"no runs{where} in {experiment.name if experiment else tracking_uri()}")
    return found, [experiment] if experiment else experiments_of(found)


def _with_curves(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return runs with the histories that a comparison needs.

    The loss of each step gets this package's name for it.
    """
    known = dict.fromkeys(name for run in runs for name in run.metrics)
    losses = [names.metric(metric.partition("/")[0], "loss"), *training_losses(known), *evaluation_losses(known)]
    accuracies = [name for name in known if is_accuracy(name)]
    wanted = {metric, names.PROBE_LOSS, *_CLOCKS, *losses, *accuracies, *_YARDSTICKS}
    return [_renamed(run) for run in with_histories(runs, wanted)]


def _renamed(run: Run) -> Run:
    known = training_losses(run.histories)
    return replace(run, histories={**run.histories, names.TRAIN_LOSS: run.histories[known[0]]}) if known else run


def _runs_address() -> str:
    uri = tracking_uri()
    if is_server(uri) and not uri.startswith("http"):
        return ""
    root = uri.rstrip("/") if is_server(uri) else LOCAL_PAGE
    return f"{root}/#/experiments/{{experiment_id}}/runs/{{run_id}}?{TRAINING}"


def _write(
    comparison: Comparison, said: Sequence[str], page: str | None, figures: str | None, tables: str | None
) -> None:
    """Write page, figures and tables, and say where they are.

    Raises:
        UserError: one cannot be written.
    """
    if page:
        from lit_lossopt.comparison.report.page import write_page

        _written("--html", page, partial(write_page, comparison, said))
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


def _log(comparison: Comparison, said: Sequence[str], experiments: Sequence[Experiment]) -> None:
    from lit_lossopt.tracking.comparison_log import log_comparison

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(comparison, said, f"{folder}/report.html", f"{folder}/figures", f"{folder}/tables")
        run_id = log_comparison(experiments[0].experiment_id, folder, "\n\n".join(said))
    place = _runs_address().format(experiment_id=quote(experiments[0].experiment_id), run_id=run_id)
    print(f"kept as run {run_id}{f': {place}' if place else ''}")
