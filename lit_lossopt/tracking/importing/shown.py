"""What an import says."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lit_lossopt.core.numbers import counted, named
from lit_lossopt.core.program import shown_path
from lit_lossopt.core.terminal_text import is_bare_terminal, on_one_line, tell
from lit_lossopt.tracking.importing.marks import same_training
from lit_lossopt.tracking.importing.prepared import PreparedRun
from lit_lossopt.tracking.importing.writing import Written
from lit_lossopt.tracking.next_steps import compare_command
from lit_lossopt.tracking.reading.runs import Run

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


def show_plan(runs: Sequence[PreparedRun], known: Mapping[str, Run]) -> None:
    """Say of each run which parameters and metrics it would get."""
    for run in runs:
        there = known.get(run.sha256)
        say(f"{run.name} ({run.program}){f': there already, as run {there.run_id}' if there else ''}")
        params = " ".join(f"{name}={value}" for name, value in run.params.items())
        say(f"  parameters: {params or 'none'}")
        for name, series in run.metrics.items():
            count = f"{len(series):,} {'value' if len(series) == 1 else 'values'}"
            say(f"  metric {name}: {count}, steps {min(series.steps):,} to {max(series.steps):,}")


def show_result(written: Written, experiment: str) -> None:
    """Say how many runs were imported, and which were there already."""
    runs = written.runs
    kinds = Counter({run.sha256: run.program for run in runs if run.sha256 in written.new}.values())
    shown = ", ".join(f"{count} of {name}" for name, count in kinds.items())
    say(f"{_runs(len(written.new))} imported into experiment {experiment!r}{f': {shown}' if shown else ''}")
    _listed([_there_already(run, written) for run in runs if run.sha256 in written.known])
    if written.replaced:
        say(f"{_runs(written.replaced)} that an interrupted import had left: replaced")
    first: dict[str, PreparedRun] = {}
    twins = [(run, first[run.sha256]) for run in runs if first.setdefault(run.sha256, run) is not run]
    _listed([f"{run.name} says the same as {twin.name}, and was taken once" for run, twin in twins])
    new, known = set(written.new), list(written.known.values())
    older = [(run.name, same_training(run, known)) for run in runs if run.sha256 in new]
    _listed([f"{name}: {text}" for name, text in older if text])


def show_notes(
    runs: Sequence[PreparedRun], renames: Mapping[str, str], passed_over: Mapping[str, Sequence[Path]]
) -> None:
    """Say once what was read as something else, and what was left out."""
    _listed([f"metric {name!r} is stored as {new!r}" for name, new in renames.items()])
    notes = Counter(note for run in runs for note in run.notes)
    _listed([f"{_runs(count)}: {note}" for note, count in notes.items()])
    renamed = {pair for run in runs for pair in run.renamed.items()}
    _listed([f"{name!r} is stored as {new!r}, because MLflow takes no such name" for name, new in sorted(renamed)])
    _listed([f"not imported: {run.name}, which has no number at a step" for run in runs if not run.metrics])
    left_out: Counter[str] = Counter()
    for run in runs:
        left_out.update(run.left_out)
    _listed([f"left out: {what} ({count:,})" for what, count in left_out.items()])
    empty = [name for name in _empty(runs) if not any(repr(name) in what for what in left_out)]
    if empty:
        say(f"left out: {counted(len(empty), 'column')} without values, {named(empty)}")
    _listed([f"not read: {what} ({len(places)}), as {shown_path(places[0])}" for what, places in passed_over.items()])


def _empty(runs: Sequence[PreparedRun]) -> list[str]:
    """Return the metrics that have no values in any run."""
    filled = {name for run in runs for name in set(run.theirs) - set(run.empty)}
    return list(dict.fromkeys(name for run in runs for name in run.empty if name not in filled))


def show_hints(runs: Sequence[PreparedRun], known: Mapping[str, Run]) -> None:
    """Say what comparisons will miss.

    Args:
        runs: that were read.
        known: SHA-256 → the run that was there before. It may say more than its file.
    """
    said = {run.sha256: [*run.params, *(known[run.sha256].params if run.sha256 in known else ())] for run in runs}
    seedless = [run for run in runs if not any("seed" in name.lower() for name in said[run.sha256])]
    if not any(said.values()):
        say(
            "no file says its settings, so compare cannot tell the runs apart: say them with --params or "
            "--name-pattern, or name their columns"
        )
    elif seedless:
        which = "no run says its seed"
        if len(seedless) < len(runs):
            which = f"{len(seedless)} of {_runs(len(runs))}, as {seedless[0].name}, say no seed"
        say(f"{which}, so compare pairs none: say it with --params or --name-pattern, or name its column")


def show_next(experiment: str, *, dry_run: bool) -> None:
    """Say what a person does next."""
    if dry_run:
        say(f"nothing was written; without --dry-run these go to experiment {experiment!r}")
    else:
        say(f"compare them: {compare_command(experiment)}")


def say(text: str) -> None:
    """Print one line."""
    tell(on_one_line(text), sys.stdout)


def _there_already(run: PreparedRun, written: Written) -> str:
    there = written.known[run.sha256]
    text = f"{run.name}: imported already, as run {there.run_id}"
    added = written.added.get(run.sha256)
    if added:
        text += f". It got {', '.join(f'{name}={run.params[name]}' for name in added)}"
    missing = [name for name in run.metrics if name not in there.metrics]
    if missing:
        return f"{text}. It has no metric {missing[0]!r}; {_anew(there)}"
    differing = [name for name, value in run.params.items() if there.params.get(name, value) != value]
    if not differing:
        return text
    name = differing[0]
    return f"{text}. There {name} is {there.params[name]}, and not {run.params[name]}; {_anew(there)}"


def _anew(there: Run) -> str:
    return f"to change it, delete the run (mlflow runs delete --run-id {there.run_id}) and import again"


def _listed(lines: Sequence[str]) -> None:
    for line in lines[:_MOST]:
        say(line)
    if len(lines) > _MOST:
        say(f"… and {len(lines) - _MOST} more")


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
