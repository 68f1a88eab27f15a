"""The process that works with MLflow for a training.

It keeps the training from waiting for Python's lock. It answers calls of ``store.Store`` that come over two
connections. Those of the first are answered in turn, those of the second at once, past one that is stuck. It imports
what MLflow needs, and writes nothing before it is told to. It ends when its parent does, however that ends, and takes
no signal that is meant for the training.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from lit_lossopt.core import names, signals
from lit_lossopt.core.imports import import_for_good
from lit_lossopt.core.quiet import silence_process
from lit_lossopt.tracking.addresses import absolute_uri, tracking_uri
from lit_lossopt.tracking.run_store import Told, tell

# Seconds between two looks at whether the parent lives: workers of its loaders may keep the connection open.
_ATTEMPTS = 100
LOOK = 1.0


class Place(NamedTuple):
    """Where a store is, as a process sees it.

    Attributes:
        uri: its address.
        folder: the working folder.
        environment: the variables.
    """

    uri: str
    folder: str
    environment: Mapping[str, str]


class Request(NamedTuple):
    """A call of a method of a store.

    ``open`` takes a place and returns nothing.
    """

    store: int
    call: str
    arguments: tuple[Any, ...]


class Answer(NamedTuple):
    """What a call returned, or what went wrong."""

    value: Any = None
    told: Told | None = None


class Stores:
    """The stores that were opened.

    The asking process has given each a number.
    """

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._stores: dict[int, Any] = {}

    def answer(self, request: Request, *, afresh: bool = False) -> Answer:
        """Return the answer to a call.

        Args:
            request: the call.
            afresh: use a client of its own, as the other may be stuck.
        """
        try:
            if request.call == "open":
                self._open(request.store, *request.arguments)
                return Answer()
            store = self._new(request.store) if afresh else self._stores[request.store]
            return Answer(getattr(store, request.call)(*request.arguments))
        except Exception as error:  # noqa: BLE001  # whatever it is, the asking process decides
            return Answer(told=tell(error))

    def _open(self, number: int, place: Place) -> None:
        os.chdir(place.folder)
        if dict(os.environ) != place.environment:
            os.environ.clear()
            os.environ.update(place.environment)
        self._places[number] = place
        self._stores[number] = self._new(number)

    def _new(self, number: int) -> Any:
        from lit_lossopt.tracking.store import Store

        return Store(self._places[number].uri)


def serve(work: Connection, urgent: Connection, parent: int, empty: Path | None = None) -> None:
    """Answer until the parent has ended or closed its ends.

    It never returns.

    Args:
        work: calls that are answered in turn.
        urgent: calls that are answered at once.
        parent: its process id.
        empty: a name for a folder of temporary files, which is there while a new database is made. None: a new one can
            wait.
    """
    signals.ignore(signals.STOPPING)
    # Before anything else: what goes wrong is told to the training, and nothing to the person's terminal.
    silence_process()
    # Seconds of imports, before the first call.
    import_for_good("lit_lossopt.tracking.store")

    stores = Stores()
    threading.Thread(target=_in_turn, args=(stores, work, empty), daemon=True).start()
    try:
        while os.getppid() == parent:
            if urgent.poll(LOOK):
                threading.Thread(target=_at_once, args=(stores, urgent, urgent.recv()), daemon=True).start()
    except (EOFError, OSError):
        pass
    _leave(empty)


def main(words: list[str]) -> None:
    """Serve as a program of its own.

    Args:
        words: two descriptors, the parent's process id, and a name for a folder of temporary files, or an empty text.
    """
    work, urgent, parent = map(int, words[:3])
    serve(Connection(work), Connection(urgent), parent, Path(words[3]) if words[3] else None)


def _leave(empty: Path | None) -> NoReturn:
    """End the process at once, without what it made on the way."""
    # The other thread may be making a database there right now. What cannot be removed is no reason to stay.
    for _ in range(_ATTEMPTS):
        if empty and empty.exists():
            shutil.rmtree(empty, ignore_errors=True)
    os._exit(0)


def _in_turn(stores: Stores, work: Connection, empty: Path | None) -> None:
    # Whatever is wrong with the store, the first call meets it too, and its answer is told.
    with suppress(Exception):
        _get_ready(empty)
    try:
        while True:
            work.send(stores.answer(work.recv()))
    except (EOFError, OSError):
        # The parent is gone, or has no more use for this.
        _leave(empty)


def _get_ready(empty: Path | None) -> None:
    """Do what the first call would take longest for, before there is a call.

    A local store that is there is opened. If there is none, its database is made in memory. The working folder stays as
    it is.

    Raises:
        Exception: something is wrong with the store.
    """
    from lit_lossopt.tracking import made_ahead
    from lit_lossopt.tracking.store import Store

    store = Store(absolute_uri(tracking_uri()))
    if store.is_being_made():
        if empty:
            made_ahead.make(empty)
    # MLflow would make this folder.
    elif Path(names.RUNS_FOLDER).is_dir() and store.is_whole():
        store.open()


def _at_once(stores: Stores, urgent: Connection, request: Request) -> None:
    try:
        urgent.send(stores.answer(request, afresh=True))
    except OSError:
        os._exit(0)
