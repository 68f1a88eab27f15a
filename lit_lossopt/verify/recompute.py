"""A comparison, computed again from the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lit_lossopt.comparison.command import Shown, found_by
from lit_lossopt.comparison.stages import Found
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.reading.runs import Run, experiments_of, read_runs
from lit_lossopt.verify.differences import Difference, differences

# Other versions, or another processor, may round otherwise.
TOLERANCE = 1e-6
PROGRAM = "lit_lossopt"
# Sentences, which another version of this program may put otherwise.
_WORDS = ("answer", "captions", "notes", "expectations")
# What everything else follows from.
_CAUSES = ("request", "left_out", "runs", "tuning", "question")


@dataclass(frozen=True)
class Again:
    """A comparison that was computed again.

    Attributes:
        runs: as the store has them now, without histories.
        shown: the comparison.
        unlike: in what this machine differs from the one that has written the record.
        is_same_program: whether this version of the program has written it.
        differences: between the record and the store.
    """

    runs: tuple[Run, ...]
    shown: Shown
    unlike: tuple[str, ...]
    is_same_program: bool
    differences: tuple[Difference, ...]


def compute_again(tree: Mapping[str, Any]) -> Again:
    """Return the comparison of a record, computed again from the store.

    It is of the same runs, also if there are more by now.

    Raises:
        NoSuchRunError: a run is gone from the store.
        UserError: the store cannot be read, or the record is not whole.
    """
    try:
        words, ids = list(tree["request"]["words"]), list(tree["request"]["runs"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"the record lacks {error}, so it is not whole; take one that lossopt compare has written"
        ) from error
    runs = tuple(read_runs(run_ids=ids, deleted=True))
    shown = found_by(words, Found(runs, tuple(experiments_of(runs))))
    apart = tuple(differences(tree.get("made_with"), shown.record["made_with"]))
    is_same_program = not any(one.place[-1] == PROGRAM for one in apart)
    left_out = ("made_with", *(() if is_same_program else _WORDS))
    recorded, found = (_parts(one, left_out) for one in (tree, shown.record))
    unlike = tuple(f"{one.place[-1]} {one.recorded or 'unknown'}, now {one.found or 'missing'}" for one in apart)
    apart_values = tuple(differences(recorded, found, TOLERANCE if apart else 0.0))
    return Again(runs, shown, unlike, is_same_program, apart_values)


def _parts(tree: Mapping[str, Any], left_out: Sequence[str]) -> Mapping[str, Any]:
    """Return the parts of a record that are compared, causes first."""
    ordered = sorted(tree, key=lambda name: _CAUSES.index(name) if name in _CAUSES else len(_CAUSES))
    return {name: tree[name] for name in ordered if name not in left_out}
