"""What a sweep takes beside its trials as more of them have ended, by counts that no other program changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

from lit_lossopt.core import names
from lit_lossopt.tracking import sweeps, trial_runs
from lit_lossopt.tracking.journal import Journal
from lit_lossopt.tracking.journal_reading import VERIFIED, read_entries
from lit_lossopt.tracking.sweeps import SweepRuns

pytestmark = pytest.mark.usefixtures("store")
ACCURACY = names.metric(names.VAL, "accuracy")


@pytest.fixture
def runs() -> SweepRuns:
    """Return the runs of a sweep that has begun."""
    found = SweepRuns("plan", "plan")
    found.begin("", "")
    return found


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Give the statements that MLflow runs meanwhile."""
    statements: list[str] = []

    def note(*given: Any) -> None:
        # Connection, cursor, statement, and more.
        statements.append(given[2])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def end_trials(runs: SweepRuns, keys: list[str]) -> None:
    """Leave what trials leave that have ended: a run with accuracies, and a journal that was delivered."""
    client = MlflowClient()
    for key in keys:
        tags = {names.TAG_SWEEP: runs.parent, names.TAG_SWEEP_KEY: key, names.TAG_VERDICT: "completed"}
        run_id = str(client.create_run(runs.experiment_id, tags=tags).info.run_id)
        client.log_batch(run_id, [Metric(ACCURACY, step / 10, 1_700_000_000_000 + step, step) for step in (0, 1, 2)])
        client.set_terminated(run_id)
        folder = Path(names.JOURNAL_FOLDER) / run_id
        journal = Journal(folder)
        journal.append({"kind": "run", "journal": run_id, "milliseconds": 1, "tags": tags})
        journal.append({"kind": "end", "status": "FINISHED", "milliseconds": 2})
        journal.close()
        (folder / VERIFIED).write_text(str(len(read_entries(folder))), encoding="ascii")


def test_each_journal_is_looked_into_once_however_many_trials_end(
    runs: SweepRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = trial_runs.read_header

    def counting(folder: Path) -> dict[str, Any]:
        read.append(folder)
        return real(folder)

    monkeypatch.setattr(sweeps, "read_header", counting)
    for count in range(12):
        end_trials(runs, [f"key {count}"])
        runs.settle(f"key {count}")
    assert len(read) == 12
    assert len(set(read)) == 12


def test_a_journal_that_says_nothing_yet_is_looked_into_again(runs: SweepRuns) -> None:
    folder = Path(names.JOURNAL_FOLDER) / "begun"
    journal = Journal(folder)
    assert runs.settle("mine") == set()
    journal.append({"kind": "run", "tags": {names.TAG_SWEEP: runs.parent, names.TAG_SWEEP_KEY: "mine"}})
    assert runs.settle("mine") == {"mine"}
    journal.close()


def test_when_a_trial_ends_the_store_is_asked_the_same_however_many_have_ended(
    runs: SweepRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, given = [], []
    search = MlflowClient.search_runs

    def counting(*words: Any, **more: Any) -> Any:
        page = search(*words, **more)
        given.append(len(page))
        return page

    monkeypatch.setattr(MlflowClient, "search_runs", counting)
    for count in range(8):
        end_trials(runs, [f"key {count}"])
        with counted_statements() as statements:
            assert list(runs.ended([f"key {count}"])) == [f"key {count}"]
        taken.append(len(statements))
    assert given == [1] * 8
    assert taken[0] > 0
    assert taken[-1] == taken[1]


def test_a_second_start_asks_the_store_the_same_for_many_trials_as_for_few(runs: SweepRuns) -> None:
    taken = []
    keys = [f"key {count}" for count in range(9)]
    for first, last in ((0, 3), (3, 9)):
        end_trials(runs, keys[first:last])
        again = SweepRuns("plan", "plan")
        again.begin("", "")
        with counted_statements() as statements:
            ended, kills = again.standing(keys)
        assert list(ended) == keys[:last]
        assert kills == dict.fromkeys(keys[:last], 0)
        assert {run.accuracies for run in ended.values()} == {(0.0, 0.1, 0.2)}
        assert {run.last_step for run in ended.values()} == {2}
        taken.append(len(statements))
    assert taken[0] == taken[1] > 0
