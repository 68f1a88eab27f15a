"""The command ``lossopt import``.

Paths of other programs' logs come in. Their runs are in the store afterwards, each once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lit_lossopt.core.errors import UserError, did_you_mean
from lit_lossopt.core.names import Exit
from lit_lossopt.core.numbers import named
from lit_lossopt.tracking.importing.finding import Logs, find_logs
from lit_lossopt.tracking.importing.prepared import PreparedRun, prepare
from lit_lossopt.tracking.importing.request import Request, parse_request


def import_runs(words: Sequence[str]) -> int:
    """Import runs, say what became of them, and return the exit status.

    Everything is read before anything is written. So a mistake in one file writes nothing.

    Raises:
        UserError: a flag or a path is wrong, a file cannot be read, or the store does not take the runs.
    """
    request = parse_request(words)
    logs = find_logs(request.paths, request.format, has_columns=bool(request.columns))
    # Imported late, so that a mistyped path is answered at once.
    from lit_lossopt.tracking.importing import shown, writing
    from lit_lossopt.tracking.importing.marks import told_apart

    with shown.bar("reading", len(logs.sources)) as read:
        found = _read(logs, request, read)
    runs = _with_values(found, request)
    if request.dry_run:
        known = writing.known_before(request.experiment)
        runs = told_apart(runs, known)
        shown.show_plan(runs, known)
    else:
        with shown.bar("writing", len(runs)) as wrote:
            written = writing.write_runs(request.experiment, runs, wrote)
        runs, known = written.runs, written.known
        shown.show_result(written, request.experiment)
    shown.show_notes(found, request.renames, logs.passed_over)
    shown.show_hints(runs, known)
    shown.show_next(request.experiment, dry_run=request.dry_run)
    return Exit.DONE


def _read(logs: Logs, request: Request, read: Callable[[], None]) -> list[PreparedRun]:
    """Return the runs of all logs.

    Raises:
        UserError: a file cannot be read, or a metric that is renamed is in none of them.
    """
    runs = []
    for program, source in logs.sources:
        runs += [prepare(run, source, program, request) for run in program.read(source, request.columns)]
        read()
    known = dict.fromkeys(name for run in runs for name in run.theirs)
    for name in request.renames:
        if name not in known:
            near = did_you_mean(name, known)
            raise UserError(
                f"import --rename {name}: no run has this metric{near}; there are: {named(list(known), 12)}"
            )
    return runs


def _with_values(runs: Sequence[PreparedRun], request: Request) -> Sequence[PreparedRun]:
    """Return the runs that have values, oldest first.

    Raises:
        UserError: none has any.
    """
    kept = [run for run in runs if run.metrics]
    if not kept:
        left_out = next((f"; left out: {what} ({count:,})" for run in runs for what, count in run.left_out.items()), "")
        raise UserError(f"import {' '.join(request.paths)}: no numbers at steps in it{left_out}; look at the file")
    return sorted(kept, key=lambda run: run.times.start if run.times else 0)
