"""A comparison, computed again from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lit_lossopt.comparison.command import Shown, found_by
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import find_runs
from lit_lossopt.comparison.stages import Found
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.redaction import HIDDEN
from lit_lossopt.tracking.reading.runs import Run, experiments_of, read_runs
from lit_lossopt.verify.differences import Difference, differences

# Other versions, or another processor, may round otherwise.
TOLERANCE = 1e-6
_PROGRAM = ("source_sha256", "lit_lossopt")
# Sentences, which another version of this program may put otherwise.
_WORDS = ("answer", "captions", "notes")
# What everything else follows from.
_CAUSES = ("request", "left_out", "runs", "tuning", "question")
_RUNNING = "still running"


@dataclass(frozen=True)
class Again:
    """A comparison that was computed again.

    Attributes:
        runs: as the store has them now, without histories.
        shown: the comparison.
        unlike: in what this machine differs from the one that has written the record.
        is_same_program: whether this state of the program has written it.
        differences: between the record and the store.
        ran: how many runs went on when the record was made. They are not compared.
        selection: runs that the flags of the record select now, and that it lacks, or the other way round. None if that
            cannot be known.
    """

    runs: tuple[Run, ...]
    shown: Shown
    unlike: tuple[str, ...]
    is_same_program: bool
    differences: tuple[Difference, ...]
    ran: int
    selection: tuple[str, ...] | None


def compute_again(tree: Mapping[str, Any], file: str) -> Again:
    """Return the comparison of a record, computed again from the store.

    It is of the same runs, also if there are more by now.

    Args:
        tree: the record as plain values.
        file: from which it was read, for messages.

    Raises:
        NoSuchRunError: a run is gone from the store.
        UserError: the store cannot be read, or the record is not whole.
    """
    words, ids = _request(tree, file)
    running = _running(tree)
    listed = read_runs(run_ids=ids, deleted=True)
    runs = tuple(run for run in listed if run.run_id not in running)
    try:
        shown = _found_by(words, runs, tree)
        selection = _selection(words, listed)
    except UserError as error:
        raise UserError(f"{file}: what it asks for cannot be computed again: {error}") from error
    apart = tuple(differences(tree.get("made_with"), shown.record["made_with"]))
    is_same = all(one.place and one.place[-1] not in _PROGRAM for one in apart)
    unlike = tuple(_as_condition(one) for one in apart)
    recorded, found = (_parts(one, is_same, running) for one in (tree, shown.record))
    values = tuple(differences(recorded, found, TOLERANCE if apart else 0.0))
    return Again(runs, shown, unlike, is_same, values, len(running), selection)


def _running(tree: Mapping[str, Any]) -> set[str]:
    """Return the runs that went on when a record was made."""
    listed = tree.get("left_out")
    known = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    return {_id_in(one) for one in known if str(one.get("reason", "")).startswith(_RUNNING)} - {""}


def _request(tree: Mapping[str, Any], file: str) -> tuple[list[str], list[str]]:
    """Return the flags and the runs of a record."""
    request = tree.get("request")
    parts = [request.get(name) if isinstance(request, Mapping) else None for name in ("words", "runs")]
    for name, part in zip(("words", "runs"), parts, strict=True):
        if not isinstance(part, list) or not all(isinstance(word, str) for word in part):
            raise UserError(
                f"{file}: it lacks request.{name}, so it is not whole; take one that lossopt compare has written"
            )
    words, ids = parts
    if not ids:
        raise UserError(f"{file}: it names no run, so there is nothing to compute again")
    return list(words or ()), list(ids)


def _found_by(words: Sequence[str], runs: tuple[Run, ...], tree: Mapping[str, Any]) -> Shown:
    shown = found_by(words, Found(runs, tuple(experiments_of(runs))))
    # Where MLflow was seen then is no claim, and the page has links to it.
    address = str(tree["request"].get("runs_address", ""))
    return replace(
        shown,
        comparison=replace(shown.comparison, runs_address=address),
        request=replace(shown.request, runs_address=address),
    )


def _selection(words: Sequence[str], listed: Sequence[Run]) -> tuple[str, ...] | None:
    """Say which runs the flags of the record select now, beside those that it lists, and which they do not."""
    if any(HIDDEN in word for word in words):
        # A password was taken out of them, so they may select something else.
        return None
    selected = {run.run_id: run for run in find_runs(parse(words)).runs}
    ids, last = {run.run_id for run in listed}, max(run.start for run in listed)
    more = [run for run in selected.values() if run.run_id not in ids and run.start <= last]
    gone = [run for run in listed if run.run_id not in selected]
    return (
        *(f"run {run.run_id} ({run.name}) is selected by the flags of the record, and not in it" for run in more),
        *(f"run {run.run_id} ({run.name}) is in the record, and not selected by its flags" for run in gone),
    )


def _as_condition(one: Difference) -> str:
    if one.place[-1:] == (_PROGRAM[0],):
        return "the state of this program"
    return f"{one.place[-1] if one.place else 'made_with'} {one.recorded or 'unknown'}, now {one.found or 'missing'}"


def _parts(tree: Mapping[str, Any], is_same_program: bool, running: set[str]) -> Mapping[str, Any]:
    """Return the parts of a record that are compared, causes first."""
    left_out = ("made_with", *(() if is_same_program else _WORDS))
    ordered = sorted(tree, key=lambda name: _CAUSES.index(name) if name in _CAUSES else len(_CAUSES))
    parts = {name: tree[name] for name in ordered if name not in left_out}
    if running:
        parts["request"] = {**parts["request"], "runs": [one for one in parts["request"]["runs"] if one not in running]}
        parts["left_out"] = [one for one in parts["left_out"] if _id_in(one) not in running]
    if not is_same_program:
        found = parts.get("expectations")
        known = found if isinstance(found, list) else [found]
        parts["expectations"] = [{**one, "because": None} if isinstance(one, Mapping) else one for one in known]
    return parts


def _id_in(one: Any) -> str:
    run_id = one.get("run_id") if isinstance(one, Mapping) else None
    return run_id if isinstance(run_id, str) else ""
