"""What earlier attempts of a run have logged.

Its journal, its checkpoint and its store tell it together.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from lit_lossopt.core import names
from lit_lossopt.tracking.ending import end_in_words
from lit_lossopt.tracking.entries import count_points, last_steps
from lit_lossopt.tracking.journal_lines import Entry
from lit_lossopt.tracking.lost_values import Lost, is_of_values
from lit_lossopt.tracking.remote_store import RemoteStore
from lit_lossopt.tracking.run_store import TROUBLES
from lit_lossopt.tracking.store_process import ProcessGoneError

# Seconds to wait for a store that is asked what it holds beyond the journal.
PATIENCE = 5.0


@dataclass(frozen=True)
class Past:
    """What is known of a run's earlier attempts.

    Attributes:
        attempt: the number of the attempt that begins now.
        former_ids: of the run, from before the store gave it its id.
        points: metric → number of its points in the journal.
        last_steps: metric → the last step that is not logged again.
        gaps: the seconds before each further attempt, None if they are not known.
        beyond: metric → number of points that were logged, and that the journal has not.
        lost: what earlier attempts have lost.
        tag: what to tag the run with as lost, or None if its tag stays as it is.
    """

    attempt: int = 1
    former_ids: list[str] = field(default_factory=list)
    points: Counter[str] = field(default_factory=Counter)
    last_steps: dict[str, int] = field(default_factory=dict)
    gaps: list[float | None] = field(default_factory=list)
    beyond: Counter[str] = field(default_factory=Counter)
    lost: Lost = field(default_factory=Lost)
    tag: str | None = None

    def tags(self) -> dict[str, str]:
        """Return the tags of the attempts and their losses."""
        lost = {} if self.tag is None else {names.TAG_LOST: self.tag}
        return {names.TAG_ATTEMPT: str(self.attempt), names.TAG_GAPS: json.dumps(self.gaps), **lost}


def read_past(entries: Sequence[Entry], store: RemoteStore, run_id: str, logged: Mapping[str, int]) -> Past:
    """Return what the earlier attempts of a run have logged.

    Args:
        entries: of its journal.
        store: of the run. It is asked where it may hold more than the journal.
        run_id: of the run.
        logged: metric → number of points that were logged when the checkpoint was saved.
    """
    points, steps = count_points(entries), last_steps(entries)
    # A journal that is not here may be on another machine, with all that is missing.
    beyond = Counter(logged) - points if entries else Counter[str]()
    there = None
    if beyond or may_lack_points(entries):
        there = _ask(store, run_id, count=bool(beyond))
    if there is not None:
        steps = {name: max(there.steps.get(name, -1), steps.get(name, -1)) for name in there.steps | steps}
    lost = Counter(logged) - (points | there.points) if there is not None and beyond else Counter[str]()
    before = _tags(entries).get(names.TAG_LOST, "")
    if before and not (logged and (there is not None or not beyond) and is_of_values(before)):
        # Nobody knows whether it is back.
        what, tag = Lost(earlier=before), None
    else:
        what = Lost(lost)
        tag = what.text() if before or lost else None
    attempt = 2 + sum(entry["kind"] == "running" for entry in entries)
    former = [entry["journal"] for entry in entries if entry["kind"] == "run"]
    gaps = [*_known_gaps(entries), _seconds_since(entries)]
    return Past(attempt, former, points, steps, gaps, beyond, what, tag)


def may_lack_points(entries: Sequence[Entry]) -> bool:
    """Return True if the store may hold more points than the journal.

    It may if the last session has no proper end, as after a kill, or if the journal says so.
    """
    sessions = [entry for entry in entries if entry["kind"] in ("run", "running", "end")]
    ended = bool(sessions) and sessions[-1]["kind"] == "end" and "killed" not in sessions[-1]
    return bool(entries) and (not ended or any(entry["kind"] == "stored" for entry in entries))


def tags_of_ending(entries: Sequence[Entry]) -> tuple[str, dict[str, str]]:
    """Return a run's description without its end, and tags.

    The tags take back what was said of that end.
    """
    tags = _tags(entries)
    evidence, findings = tags.get(names.TAG_EVIDENCE, ""), json.loads(tags.get(names.TAG_FINDINGS) or "[]")
    ending = end_in_words(tags.get(names.TAG_VERDICT, ""), evidence, findings)
    description = tags.get(names.TAG_DESCRIPTION, "").removesuffix(ending).strip()
    of_the_end = (names.TAG_EVIDENCE, names.TAG_FINDINGS, names.TAG_LAST_GOOD_STEP)
    back = {name: "" for name in of_the_end if tags.get(name)}
    if ending:
        back[names.TAG_DESCRIPTION] = description
    return description, back


def _seconds_since(entries: Sequence[Entry]) -> float | None:
    """Return the seconds since a journal was last added to.

    It is None if the clock has been set back meanwhile.
    """
    times = [entry["milliseconds"] for entry in entries if "milliseconds" in entry]
    times += [point[3] for entry in entries if entry["kind"] == "points" for point in entry["points"]]
    seconds = time.time() - max(times) / 1000 if times else 0.0
    return seconds if seconds >= 0 else None


def _known_gaps(entries: Sequence[Entry]) -> list[float | None]:
    """Return the seconds of rest before each further attempt.

    Each is None if it is not known.
    """
    gaps = [entry["gap"] for entry in entries if entry["kind"] == "running"]
    return [gap if gap is not None and gap >= 0 else None for gap in gaps]


def _tags(entries: Sequence[Entry]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for entry in entries:
        tags |= entry["tags"] if entry["kind"] in ("run", "tags") else {}
    return tags


class _Held(NamedTuple):
    """What a store holds of a run.

    Attributes:
        steps: metric → last step.
        points: metric → number of points.
    """

    steps: dict[str, int]
    points: Counter[str]


def _ask(store: RemoteStore, run_id: str, *, count: bool) -> _Held | None:
    """Return what the store holds, or None if it is too slow."""
    answers: list[_Held] = []

    def ask() -> None:
        with suppress(*TROUBLES, ProcessGoneError):
            known = store.find_run(run_id)
            answers.append(_Held(store.last_steps(known), Counter(store.counts(known) if count else {})))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answers[0] if answers else None
