"""The end of a run.

The points that the store holds are counted. A person is told what is missing, and how to deliver it.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lit_lossopt.core import names
from lit_lossopt.core.names import Status, Verdict
from lit_lossopt.core.redaction import redact
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.delivery import Delivery
from lit_lossopt.tracking.entries import refusal_entry, tags_entry
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.lost_values import Lost, count_lost, stored_only
from lit_lossopt.tracking.remote_store import RemoteStore
from lit_lossopt.tracking.run_store import TROUBLES
from lit_lossopt.tracking.store_process import ProcessGoneError

# Seconds to wait for the status of a run for whose values there was no time.
STATUS_PATIENCE = 2.0
# A run that diverged has failed in MLflow's list, and is a result all the same. Its verdict says so.
_STATUS = {
    Verdict.COMPLETED: Status.FINISHED,
    Verdict.COLLAPSED: Status.FINISHED,
    Verdict.INTERRUPTED: Status.KILLED,
}


@dataclass
class Ending:
    """How a run ends.

    Attributes:
        verdict: of the run.
        evidence: why, in words.
        last_good_step: the last step before the trouble, if there was any.
        description: the run's, in Markdown, without its end.
        findings: what diagnostics found, kind and sentence of each. None: nothing was concluded.
    """

    verdict: Verdict = Verdict.COMPLETED
    evidence: str = ""
    last_good_step: int | None = None
    description: str = ""
    findings: tuple[tuple[str, str], ...] | None = None

    def set(self, verdict: Verdict, evidence: str, last_good_step: int | None) -> None:
        """Replace verdict, evidence and last good step."""
        self.verdict, self.evidence, self.last_good_step = verdict, evidence, last_good_step

    def entries(self, milliseconds: int) -> list[Entry]:
        """Return the entries of verdict and status that end a journal."""
        tags: dict[str, str] = {names.TAG_VERDICT: self.verdict}
        if self.evidence:
            tags[names.TAG_EVIDENCE] = self.evidence
        if self.findings is not None:
            tags[names.TAG_FINDINGS] = json.dumps(self.findings)
        said = end_in_words(self.verdict, self.evidence, self.findings or ())
        if said:
            tags[names.TAG_DESCRIPTION] = f"{self.description}\n\n{said}".strip()
        if self.last_good_step is not None:
            tags[names.TAG_LAST_GOOD_STEP] = str(self.last_good_step)
        status = next((status for verdict, status in _STATUS.items() if verdict == self.verdict), Status.FAILED)
        return [tags_entry(tags), {"kind": "end", "status": status, "milliseconds": milliseconds}]


def end_in_words(verdict: str, evidence: str, findings: Sequence[Sequence[str]]) -> str:
    """Return what a run's description says of its end, in Markdown.

    >>> print(end_in_words("collapsed", "one class only", [("dead ReLUs", "half of the units are dead")]))
    **collapsed**: one class only
    <BLANKLINE>
    - half of the units are dead
    """
    parts = [f"**{verdict}**: {evidence}"] if evidence else []
    parts += ["\n".join(f"- {sentence}" for _, sentence in findings)] if findings else []
    return "\n\n".join(parts)


def conclude(
    delivery: Delivery,
    store: RemoteStore,
    expected: Mapping[str, int],
    last_words: Sequence[Entry],
    files: Sequence[str],
    before: Lost,
    *,
    done: bool,
) -> Lost:
    """Say what the store lacks, and return what is lost.

    Args:
        delivery: of the run's journal.
        store: to which it delivers.
        expected: metric → number of points that were logged.
        last_words: the entries of verdict and status. They are sent alone where there is no time for the rest, and the
            journal has room for them where the disk takes nothing else.
        files: why files could not be kept, one reason each.
        before: what earlier attempts have lost.
        done: whether all was sent, so that the journal can be closed.
    """
    journal = delivery.journal
    if done:
        missing = _verify(delivery, expected)
        found = delivery.found
    else:
        missing = delivery.waiting()
        found = _send_alone(delivery, store, [*last_words, tags_entry({names.TAG_UNDELIVERED: missing})])
    lost = count_lost(delivery, expected, found, len(last_words))
    lost.add("file", len(files) + delivery.forget_postponed())
    lost_now = lost.values
    lost.add_earlier(before)
    if lost:
        tag = tags_entry({names.TAG_LOST: lost.text()})
        last_words = [tag, *last_words]
        missing = max(0, missing - lost_now) if done else missing
        _say_lost_in_store(delivery, store, tag, missing)
    why = journal.problem or next(iter(files), "")
    reason = f" ({why})" if why else ""
    if not journal.end([*stored_only(delivery), *last_words]):
        say(f"{journal.folder} did not take the end of this run{reason}; sync asks the store for it")
    _say_missing(delivery, missing, done=done)
    if lost:
        verb = "is" if lost.values + lost.others.total() == 1 and not lost.earlier else "are"
        say(f"{lost.text()} of this run {verb} lost: {journal.folder} took no more{reason}; make room for the next run")
    if done:
        journal.close()
    return lost


def experiment_of(delivery: Delivery, store: RemoteStore) -> str:
    """Return the id of a run's experiment.

    It is empty if the store does not tell it soon.
    """
    found: list[str] = []

    def ask() -> None:
        with suppress(*TROUBLES, ProcessGoneError):
            found.append(store.experiment_past(str(delivery.run_id)))

    if delivery.run_id and not delivery.gone:
        _in_time(ask)
    return found[0] if found else ""


def say(message: str) -> None:
    """Print one line for the person, without passwords."""
    tell(redact(f"lossopt: {message}"), sys.stderr)


def _say_missing(delivery: Delivery, missing: int, *, done: bool) -> None:
    """Say what waits in the journal and what was refused."""
    files, folder = len(delivery.postponed()), delivery.journal.folder
    if missing or files or not done:
        parts = [f"{missing} values"] if missing else []
        parts += [f"{files} files"] if files else []
        what = " and ".join(parts) or "the last words"
        reason = f" ({delivery.gone or delivery.problem})" if delivery.gone or delivery.problem else ""
        say(
            f"{what} of this run are not in {delivery.store.uri}{reason}; they are kept in {folder}; "
            f"deliver them with: python -m lit_lossopt sync {folder.name}"
        )
    if delivery.refused:
        say(f"{delivery.store.uri} refused {len(delivery.refused)} entries: {delivery.refused[0]}")


def _verify(delivery: Delivery, expected: Mapping[str, int]) -> int:
    """Return how many values the store lacks, or 0 if it does not answer."""
    try:
        if delivery.refused and delivery.run_id:
            delivery.store.send(delivery.run_id, [refusal_entry(delivery.refused)], delivery.journal.folder)
        return delivery.verify(expected)
    except TROUBLES as error:
        delivery.note(error)
        return 0


def _send_alone(delivery: Delivery, store: RemoteStore, entries: Sequence[Entry]) -> dict[str, int] | None:
    """Send entries past a writer that is stuck or behind.

    Returns:
        Metric → number of points in the store, or None if it does not say.
    """
    run_id, folder = delivery.run_id, delivery.journal.folder
    counts: list[dict[str, int]] = []
    if run_id is None or delivery.gone:
        return None

    def send() -> None:
        with suppress(*TROUBLES, ProcessGoneError):
            store.send_past(run_id, entries, folder)
        with suppress(*TROUBLES, ProcessGoneError):
            counts.append(store.counts_past(run_id))

    _in_time(send)
    return counts[0] if counts else None


def _say_lost_in_store(delivery: Delivery, store: RemoteStore, tag: Entry, missing: int) -> None:
    """Tag the run with what is lost, and with what still waits."""
    run_id, folder = delivery.run_id, delivery.journal.folder
    if run_id is None or delivery.gone:
        return

    def send() -> None:
        with suppress(*TROUBLES, ProcessGoneError):
            store.send_past(run_id, [tag, tags_entry({names.TAG_UNDELIVERED: missing})] if missing else [tag], folder)
            if not missing:
                store.mark_undelivered(run_id, missing)

    _in_time(send)


def _in_time(send: Callable[[], None]) -> None:
    """Call a function that may be stuck, and stop waiting after a while."""
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(STATUS_PATIENCE)
