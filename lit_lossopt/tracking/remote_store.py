"""A store that another process works with.

It has the calls of ``store.Store``, and ``store_server`` answers them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_lossopt.tracking.addresses import absolute_uri, check_uri, sqlite_path, tame_client
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.places import store_here
from lit_lossopt.tracking.run_store import StoreError, understood
from lit_lossopt.tracking.store_process import ProcessGoneError, StoreProcess, let_go, running_process
from lit_lossopt.tracking.store_server import Place, Request, Stores

# A process that dies so often is not started again: this one does the work.
DEATHS = 3
_numbers = itertools.count()


class RemoteStore:
    """One store, reached through another process.

    A process that dies is started again, and its call repeated. If it cannot be started, or dies again and again, calls
    are answered in this process.

    Args:
        uri: as MLflow writes it.

    Raises:
        UserError: the address holds a password, or names a database that is gone when the program ends.
    """

    def __init__(self, uri: str) -> None:
        self.uri = check_uri(uri)
        tame_client()
        self._number = next(_numbers)
        self._home = Path.cwd()
        self._process: StoreProcess | None = None
        self._here: Stores | None = None
        self._deaths = 0
        self._closed = False

    @property
    def elsewhere(self) -> bool:
        """Whether another process does the work."""
        return self._here is None

    def is_being_made(self) -> bool:
        """Return True if it is too early to ask the store.

        Its process starts, or there is no database so far.
        """
        database = sqlite_path(self.uri)
        return (self._process is None and self.elsewhere) or bool(database and not database.exists())

    def create_run(self, header: Mapping[str, Any]) -> tuple[str, str]:
        """Return (run id, artifact address) of a run, made if it is missing."""
        run_id, artifacts = self._call("create_run", dict(header))
        return run_id, artifacts

    def remove_twins(self, run_id: str, header: Mapping[str, Any]) -> None:
        """Delete other runs of the same journal."""
        self._call("remove_twins", run_id, dict(header))

    def send(self, run_id: str, entries: Sequence[Entry], folder: Path) -> None:
        """Store entries in order, from the journal in ``folder``."""
        self._call("send", run_id, list(entries), folder.absolute())

    def send_lines(self, run_id: str, folder: Path, start: int, end: int) -> None:
        """Store the entries between two places in a journal's file."""
        self._call("send_lines", run_id, folder.absolute(), start, end)

    def send_past(self, run_id: str, entries: Sequence[Entry], folder: Path) -> None:
        """Store entries at once, past a call that is stuck."""
        self._past("send", run_id, list(entries), folder.absolute())

    def _past(self, name: str, *arguments: Any) -> Any:
        """Return the result of a call that waits for no other.

        Raises:
            Exception: of ``run_store.TROUBLES``, or ProcessGoneError.
        """
        request = Request(self._number, name, arguments)
        if self._here is not None:
            answer = self._here.answer(request, afresh=True)
        elif self._process is not None:
            answer = self._process.ask(request, urgent=True)
        else:
            raise StoreError("it was never reached", final=False)
        if answer.told:
            raise understood(answer.told)
        return answer.value

    def counts_past(self, run_id: str) -> dict[str, int]:
        """Return metric → number of points, past a call that is stuck."""
        counts: dict[str, int] = self._past("counts", run_id)
        return counts

    def experiment_past(self, run_id: str) -> str:
        """Return the id of a run's experiment, past a call that is stuck."""
        return str(self._past("experiment_of", run_id))

    def holds(self, run_id: str, source: Path, name: str, home: Path) -> bool:
        """Return True if the artifacts have each file of a folder."""
        return bool(self._call("holds", run_id, source.absolute(), name, home))

    def counts(self, run_id: str) -> dict[str, int]:
        """Return metric → number of points in the store."""
        counts: dict[str, int] = self._call("counts", run_id)
        return counts

    def check_run(self, run_id: str) -> None:
        """Raise RunGoneError if the store does not have the run."""
        self._call("check_run", run_id)

    def mark_undelivered(self, run_id: str, missing: int) -> None:
        """Tag a run with the number of its missing values."""
        self._call("mark_undelivered", run_id, missing)

    def find_run(self, name: str) -> str:
        """Return the id of a run, by its id or its journal's first name."""
        return str(self._call("find_run", name))

    def last_steps(self, run_id: str) -> dict[str, int]:
        """Return metric → the last step that the store holds."""
        steps: dict[str, int] = self._call("last_steps", run_id)
        return steps

    def artifact_uri(self, run_id: str) -> str:
        """Return where a run's artifacts lie."""
        return str(self._call("artifact_uri", run_id))

    def close(self) -> None:
        """End the process if nobody else uses it or it is stuck.

        The store is not used after that.
        """
        self._closed = True
        let_go(self._process)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Return the result of a call.

        Raises:
            Exception: of ``run_store.TROUBLES``, or UserError.
        """
        request = Request(self._number, name, arguments)
        while self._here is None:
            try:
                answer = self._reached().ask(request)
                # Only a call that kills one process after the other is better made here.
                self._deaths = 0
                break
            except ProcessGoneError as error:
                if self._closed:
                    raise StoreError("the run has ended", final=False) from error
                self._deaths += 1
                if self._deaths > DEATHS:
                    self._here = self._opened_here()
        else:
            answer = self._here.answer(request)
        if answer.told:
            raise understood(answer.told)
        return answer.value

    def _reached(self) -> StoreProcess:
        """Return the process after opening this store in it."""
        process = running_process()
        if process is not self._process:
            opened = process.ask(self._opening())
            if opened.told:
                raise understood(opened.told)
            self._process = process
        return process

    def _opened_here(self) -> Stores:
        stores = Stores()
        opened = stores.answer(self._opening())
        if opened.told:
            raise understood(opened.told)
        return stores

    def _opening(self) -> Request:
        """Return the call that opens the store where it is now.

        The working folder may have been moved.
        """
        here, uri = Path.cwd(), self.uri
        # One process serves stores of several folders, so its own working folder says nothing for long. An absolute
        # address cannot say a "%": SQLAlchemy reads it as an escape, and MLflow does not.
        if "%" not in str(here):
            uri = store_here({"uri": absolute_uri(uri), "home": str(self._home)}, here)
        return Request(self._number, "open", (Place(uri, str(here), dict(os.environ)),))
