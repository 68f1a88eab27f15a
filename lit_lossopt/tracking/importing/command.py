"""The command ``lossopt import``.

Paths of other programs' logs come in. Their runs are in the store afterwards, each once.
"""

from __future__ import annotations

from collections.abc import Sequence

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import Exit
from lit_lossopt.tracking.importing.finding import Logs, find_logs
from lit_lossopt.tracking.importing.prepared import PreparedRun, prepare, told_apart
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
    from lit_lossopt.tracking.importing.shown import bar, say, show_hints, show_notes, show_plan, show_result
    from lit_lossopt.tracking.importing.writing import known_runs, write_runs
    from lit_lossopt.tracking.next_steps import compare_command

    with bar("reading", len(logs.sources)) as advance:
        runs = []
        for place in range(len(logs.sources)):
            runs += _read(logs, place, request)
            advance()
    runs = _with_values(runs, request)
    if request.dry_run:
        show_plan(runs, known_runs(request.experiment).whole)
        show_notes(runs, logs.passed_over)
        show_hints(runs)
        say(f"nothing was written; without --dry-run these go to experiment {request.experiment!r}")
        return Exit.DONE
    with bar("writing", len(runs)) as advance:
        written = write_runs(request.experiment, runs, advance)
    show_result(runs, written, request.experiment)
    show_notes(runs, logs.passed_over)
    show_hints(runs)
    say(f"compare them: {compare_command(request.experiment)}")
    return Exit.DONE


def _read(logs: Logs, place: int, request: Request) -> list[PreparedRun]:
    program, source = logs.sources[place]
    runs = program.read(source, request.columns)
    return [prepare(run, source, program, request.params, request.pattern) for run in runs]


def _with_values(runs: Sequence[PreparedRun], request: Request) -> list[PreparedRun]:
    """Return the runs that have values, oldest first.

    Raises:
        UserError: none has any.
    """
    kept = told_apart([run for run in runs if run.metrics])
    if not kept:
        left_out = next((f"; left out: {what} ({count:,})" for run in runs for what, count in run.left_out.items()), "")
        raise UserError(f"import {' '.join(request.paths)}: no numbers at steps in it{left_out}; look at the file")
    return sorted(kept, key=lambda run: run.times.start if run.times else 0)
