"""Foreign runs written to the store, each once.

A run gets the tag of its content when it is whole. One that was interrupted has none, and is replaced.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.files import lock_file
from lit_lossopt.core.names import Status
from lit_lossopt.core.quiet import quiet_stores
from lit_lossopt.core.redaction import redact
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.addresses import check_file_store, check_uri, sqlite_path, tracking_uri
from lit_lossopt.tracking.importing import bulk
from lit_lossopt.tracking.importing.marks import told_apart
from lit_lossopt.tracking.importing.points import moments
from lit_lossopt.tracking.importing.prepared import PreparedRun
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.reading.runs import Run, read_runs
from lit_lossopt.tracking.store import STORE_ERRORS, Store


@dataclass(frozen=True)
class Known:
    """Imported runs that an experiment has.

    Attributes:
        whole: SHA-256 of what was read → the run.
        halves: SHA-256 of what was to be read → runs that were interrupted.
    """

    whole: Mapping[str, Run]
    halves: Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class Written:
    """What an import has done.

    Attributes:
        runs: each with its mark.
        known: SHA-256 → the run that was there before.
        new: SHA-256 of the runs that were written.
        added: SHA-256 of a run that was there → names of the parameters that it got.
        replaced: number of interrupted runs in whose place a whole one was written.
    """

    runs: Sequence[PreparedRun]
    known: Mapping[str, Run]
    new: Sequence[str]
    added: Mapping[str, Sequence[str]]
    replaced: int


def known_runs(experiment: str) -> Known:
    """Return the imported runs of an experiment.

    Raises:
        UserError: there is no such experiment, or the store cannot be read.
    """
    runs = read_runs(experiment)
    whole = {run.tags[names.TAG_IMPORTED_SHA256]: run for run in runs if names.TAG_IMPORTED_SHA256 in run.tags}
    halves: dict[str, list[Run]] = {}
    for run in runs:
        if names.TAG_IMPORTING in run.tags and names.TAG_IMPORTED_SHA256 not in run.tags:
            halves.setdefault(run.tags[names.TAG_IMPORTING], []).append(run)
    return Known(whole, halves)


def known_before(experiment: str) -> Mapping[str, Run]:
    """Return SHA-256 → imported run, without making anything.

    There are none if there is no such experiment.
    """
    check_file_store(check_uri(tracking_uri()))
    try:
        return known_runs(experiment).whole
    except UserError:
        return {}


def write_runs(experiment: str, runs: Sequence[PreparedRun], wrote: Callable[[], object]) -> Written:
    """Write the runs that an experiment does not have.

    One that it has gets those parameters that are new.

    Args:
        experiment: its name. It is made if it is missing.
        runs: what may be there already.
        wrote: called for each run.

    Raises:
        UserError: the store does not take them.
    """
    quiet_stores()
    uri = check_uri(tracking_uri())
    check_file_store(uri)
    store, added, replaced = Store(uri), {}, 0
    new: dict[str, None] = {}
    try:
        with _alone(sqlite_path(uri)):
            experiment_id = _experiment_id(store, experiment)
            known = known_runs(experiment)
            runs = told_apart(runs, known.whole)
            writer = _Writer(store, experiment_id)
            for run in runs:
                there = known.whole.get(run.sha256)
                if there is not None:
                    added[run.sha256] = _add_params(store, there, run.params)
                elif run.sha256 not in new:
                    replaced += _remove(store, known.halves.get(run.sha256, ()))
                    writer.write(run)
                    new[run.sha256] = None
                wrote()
    except STORE_ERRORS as error:
        text = one_line(redact(str(error)), 200)
        raise UserError(f"import: {redact(uri)} does not take the runs ({text}); mend it and import again") from error
    return Written(runs, known.whole, tuple(new), added, replaced)


def _add_params(store: Store, there: Run, params: Mapping[str, str]) -> list[str]:
    """Give a run the parameters that it does not have, and return their names."""
    new = {name: value for name, value in params.items() if name not in there.params}
    if new:
        store.send(there.run_id, [{"kind": "params", "params": new}], Path())
    return list(new)


def _remove(store: Store, halves: Sequence[Run]) -> int:
    for half in halves:
        store.client.delete_run(half.run_id)
    return len(halves)


def _experiment_id(store: Store, name: str) -> str:
    try:
        return store.experiment_id(name, str(Path(names.RUNS_FOLDER).absolute()))
    except UserError as error:
        raise UserError(str(error).replace("tracking.experiment=", "import --experiment ", 1)) from error


@contextmanager
def _alone(database: Path | None) -> Iterator[None]:
    """Let one import at a time write to a local store.

    Otherwise another one would take a run that is being written for one that was interrupted.
    """
    if database is None:
        yield
        return
    database.absolute().parent.mkdir(parents=True, exist_ok=True)
    with lock_file(Path(f"{database}.import.lock"), lambda _: tell("another import is at work; waiting", sys.stderr)):
        yield


class _Writer:
    """Writes runs to an experiment.

    MLflow makes the first run of a local store, and the others are made like it, each in one transaction.
    """

    def __init__(self, store: Store, experiment_id: str) -> None:
        self._store, self._experiment_id = store, experiment_id
        database = sqlite_path(store.uri)
        self._database = database if database is not None and bulk.can_write(database) else None
        self._like = ""
        self._starts: set[int] = set()

    def write(self, run: PreparedRun) -> None:
        """Write one run. What marks it as whole comes last."""
        times = (run.times.start, run.times.end) if run.times else (self._own_start(_last_written(run)), None)
        tags = {
            names.TAG_IMPORTED_FROM: redact(run.source.typed),
            names.TAG_IMPORTED_FORMAT: run.program,
        }
        whole = {names.TAG_IMPORTED_SHA256: run.sha256}
        if self._like and self._database:
            content = bulk.Content(run.name, run.params, run.metrics, {**tags, **whole}, times)
            bulk.write_run(self._database, content, like=self._like)
            return
        tags[names.TAG_IMPORTING] = run.sha256
        made = self._store.client.create_run(self._experiment_id, times[0], tags, run.name)
        run_id = str(made.info.run_id)
        if self._database:
            content = bulk.Content(run.name, run.params, run.metrics, whole, times)
            bulk.write_run(self._database, content, run_id, gone=names.TAG_IMPORTING)
            self._like = run_id
        else:
            _send(self._store, run_id, run, whole, times)

    def _own_start(self, start: int) -> int:
        """Return a start that no other run of this import has.

        So runs of one table keep their order. It is also three times as fast, because a table's points then stand in
        the database one run behind the other.
        """
        while start in self._starts:
            start += 1
        self._starts.add(start)
        return start


def _send(store: Store, run_id: str, run: PreparedRun, whole: Mapping[str, str], times: tuple[int, int | None]) -> None:
    """Write a run by MLflow's own calls."""
    points = [
        [name, value, step, milliseconds]
        for name, series in run.metrics.items()
        for step, value, milliseconds in zip(series.steps, series.values, moments(series, times[0]), strict=True)
    ]
    entries: list[Entry] = [{"kind": "params", "params": run.params}, {"kind": "points", "points": points}]
    store.send(run_id, entries, Path())
    if times[1] is None:
        store.client.update_run(run_id, Status.FINISHED)
    else:
        store.client.set_terminated(run_id, Status.FINISHED, times[1])
    store.send(run_id, [{"kind": "tags", "tags": whole}], Path())
    store.client.delete_tag(run_id, names.TAG_IMPORTING)


def _last_written(run: PreparedRun) -> int:
    """Return when the files were written last, in milliseconds since 1970.

    A run needs a start to be put in order. It gets no end then, so nothing is concluded from its times.
    """
    try:
        return max(path.stat().st_mtime_ns for path in run.source.files) // 1_000_000
    except OSError:
        return time.time_ns() // 1_000_000
