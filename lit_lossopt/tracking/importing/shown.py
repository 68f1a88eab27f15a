"""What an import says."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.program import shown_path
from lit_lossopt.core.terminal_text import is_bare_terminal, on_one_line, tell
from lit_lossopt.tracking.importing.prepared import PreparedRun
from lit_lossopt.tracking.importing.writing import Known

# Lines of one kind, beyond which only a number is said.
_MOST = 10


@contextmanager
def bar(text: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal while runs are read or written.

    It yields what is called for each of them. Elsewhere nothing is shown.
    """
    if not is_bare_terminal(sys.stderr):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


def show_plan(runs: Sequence[PreparedRun], known: Known) -> None:
    """Say of each run which parameters and metrics it would get."""
    for run in runs:
        there = known.whole.get(run.sha256)
        say(f"{run.name} ({run.program}){f': there already, as run {there.run_id}' if there else ''}")
        params = " ".join(f"{name}={value}" for name, value in run.params.items())
        say(f"  parameters: {params or 'none'}")
        for name, series in run.metrics.items():
            count = f"{len(series):,} {'value' if len(series) == 1 else 'values'}"
            say(f"  metric {name}: {count}, steps {min(series.steps):,} to {max(series.steps):,}")


def show_result(runs: Sequence[PreparedRun], known: Known, replaced: int, experiment: str) -> None:
    """Say how many runs were imported, and which were there already."""
    new = {run.sha256 for run in runs} - known.whole.keys()
    kinds = ", ".join(f"{count} of {name}" for name, count in _by_format(runs, new).items())
    say(f"{_runs(len(new))} imported into experiment {experiment!r}{f': {kinds}' if new else ''}")
    _listed([line for run in runs if (line := _there_already(run, known))])
    seen: dict[str, PreparedRun] = {}
    twins = [(run, seen[run.sha256]) for run in runs if seen.setdefault(run.sha256, run) is not run]
    _listed(
        [f"{run.name} ({run.source.typed}) says the same as {twin.name}, and was taken once" for run, twin in twins]
    )
    if replaced:
        say(f"{_runs(replaced)} that an interrupted import had left: replaced")
    paths = {run.tags.get(names.TAG_IMPORTED_FROM, ""): run for run in known.whole.values()}
    before = [(run, paths[run.source.typed]) for run in runs if run.sha256 in new and run.source.typed in paths]
    _listed(
        [
            f"{run.name}: {run.source.typed} was imported before with other content; run {older.run_id} ({older.name}) "
            "stays. If it is the same training, delete it: "
            f"mlflow runs delete --run-id {older.run_id}"
            for run, older in before
            if older.name == run.name
        ]
    )


def show_notes(runs: Sequence[PreparedRun], passed_over: Sequence[Path]) -> None:
    """Say once what was read as something else, and what was left out."""
    notes = Counter(note for run in runs for note in run.notes)
    _listed([f"{note} ({_runs(count)})" for note, count in notes.items()])
    renamed = {pair for run in runs for pair in run.renamed.items()}
    _listed([f"{name!r} is stored as {new!r}, because MLflow takes no such name" for name, new in sorted(renamed)])
    left_out: Counter[str] = Counter()
    for run in runs:
        left_out.update(run.left_out)
    _listed([f"left out: {what} ({count:,})" for what, count in left_out.items()])
    if passed_over:
        say(f"not read: {len(passed_over)} tables that no format fits, as {shown_path(passed_over[0])}")


def show_hints(runs: Sequence[PreparedRun]) -> None:
    """Say what comparisons will miss."""
    if len(runs) > 1 and not any(run.params for run in runs):
        say(
            "no file says its settings, so compare cannot tell the runs apart: say them with --params or "
            "--name-pattern, or name their columns"
        )
    elif len(runs) > 1 and not any("seed" in name.lower() for run in runs for name in run.params):
        say("no run says its seed, so compare pairs none: say it with --params or --name-pattern, or name its column")


def say(text: str) -> None:
    """Print one line."""
    tell(on_one_line(text), sys.stdout)


def _there_already(run: PreparedRun, known: Known) -> str:
    there = known.whole.get(run.sha256)
    if there is None:
        return ""
    differing = [name for name, value in run.params.items() if there.params.get(name) != value]
    text = f"{run.name}: imported already, as run {there.run_id}"
    if not differing:
        return text
    name = differing[0]
    was = f"{name}={there.params[name]}" if name in there.params else f"no {name}"
    return (
        f"{text} with {was}. For {name}={run.params[name]}, delete it first: mlflow runs delete --run-id {there.run_id}"
    )


def _by_format(runs: Sequence[PreparedRun], new: set[str]) -> Counter[str]:
    return Counter({run.sha256: run.program for run in runs if run.sha256 in new}.values())


def _listed(lines: Sequence[str]) -> None:
    for line in lines[:_MOST]:
        say(line)
    if len(lines) > _MOST:
        say(f"… and {len(lines) - _MOST} more")


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
