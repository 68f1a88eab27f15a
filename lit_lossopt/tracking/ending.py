"""The end of a run: what the store holds is counted, what it lacks is said, and how to deliver it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from lit_lossopt import names
from lit_lossopt.errors import one_line
from lit_lossopt.redaction import redact
from lit_lossopt.tracking.delivery import Delivery, refusal_entry
from lit_lossopt.tracking.journal import Entry, tags_entry
from lit_lossopt.tracking.remote_store import RemoteStore
from lit_lossopt.tracking.run_store import TROUBLES
from lit_lossopt.tracking.store_process import ProcessGoneError

# Seconds to wait for the status of a run for whose values there was no time.
STATUS_PATIENCE = 2.0


def conclude(
    delivery: Delivery, store: RemoteStore, expected: Mapping[str, int], last_words: Sequence[Entry], *, done: bool
) -> None:
    """Compare counts with the store, and say what is missing.

    Args:
        delivery: of the run's journal.
        store: to which it delivers.
        expected: metric → number of points that were logged.
        last_words: the entries of verdict and status, which are sent alone where there is no time for the rest.
        done: whether all was sent, so that the journal can be closed.
    """
    journal, missing = delivery.journal, 0
    if done:
        missing = _verify(delivery, expected)
        journal.close()
    elif not delivery.gone:
        missing = delivery.waiting()
        _send_alone(delivery, store, [*last_words, tags_entry({names.TAG_UNDELIVERED: missing})])
    else:
        missing = delivery.waiting()
    files = len(delivery.postponed())
    if missing or files or not done:
        what = f"{missing} values" + (f" and {files} files" if files else "")
        reason = f" ({delivery.gone or delivery.problem})" if delivery.gone or delivery.problem else ""
        say(
            f"{what} of this run are not in {delivery.store.uri}{reason}; they are kept in {journal.folder}; "
            f"deliver them with: python -m lit_lossopt sync {journal.folder.name}"
        )
    if delivery.refused:
        say(f"{delivery.store.uri} refused {len(delivery.refused)} entries: {delivery.refused[0]}")
    if journal.lost:
        say(f"{journal.lost} entries were lost: {journal.folder} took no more, and memory is bounded")


def say(message: str) -> None:
    """Tell the person at the terminal, in one line without passwords."""
    print(redact(f"lossopt: {message}"), file=sys.stderr, flush=True)


def _verify(delivery: Delivery, expected: Mapping[str, int]) -> int:
    """Return how many values the store lacks, as far as it can be asked."""
    try:
        if delivery.refused and delivery.run_id:
            delivery.store.send(delivery.run_id, [refusal_entry(delivery.refused)], delivery.journal.folder)
        return delivery.verify(expected)
    except TROUBLES as error:
        delivery.problem = one_line(redact(str(error)), 200)
        return 0


def _send_alone(delivery: Delivery, store: RemoteStore, entries: Sequence[Entry]) -> None:
    """Send entries out of their order, past a writer that is stuck or behind."""
    run_id, folder = delivery.run_id, delivery.journal.folder
    if run_id is None:
        return

    def send() -> None:
        with suppress(*TROUBLES, ProcessGoneError):
            store.send_past(run_id, entries, folder)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(STATUS_PATIENCE)
