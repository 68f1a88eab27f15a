"""A comparison, computed again from the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lit_lossopt.comparison.command import Shown, found_by
from lit_lossopt.comparison.record.build import made_with
from lit_lossopt.comparison.record.text import as_tree
from lit_lossopt.comparison.stages import Found
from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.reading.runs import Run, experiments_of, read_runs
from lit_lossopt.verify.differences import Difference, differences

# Other versions, or another processor, may round otherwise.
TOLERANCE = 1e-6
# What may differ without harm.
_NOT_COMPARED = ("made_with",)
# Sentences, which another version may put otherwise.
_WORDS = ("answer", "captions", "notes")


@dataclass(frozen=True)
class Again:
    """A comparison that was computed again.

    Attributes:
        runs: as the store has them now, without histories.
        shown: the comparison.
        unlike: in what this machine differs from the one that has written the record.
        differences: between the record and the store.
    """

    runs: tuple[Run, ...]
    shown: Shown
    unlike: tuple[str, ...]
    differences: tuple[Difference, ...]


def compute_again(tree: Mapping[str, Any]) -> Again:
    """Return the comparison of a record, computed again from the store.

    It is of the same runs, also if there are more by now.

    Raises:
        UserError: a run is gone from the store, or the store cannot be read.
    """
    try:
        words, ids = list(tree["request"]["words"]), list(tree["request"]["runs"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"the record lacks {error}, so it is not whole; take one that lossopt compare has written"
        ) from error
    runs = tuple(read_runs(run_ids=ids, deleted=True))
    shown = found_by(words, Found(runs, tuple(experiments_of(runs))))
    apart = tuple(_unlike(tree))
    left_out = (*_NOT_COMPARED, *(_WORDS if apart else ()))
    recorded, found = (
        {name: value for name, value in one.items() if name not in left_out} for one in (tree, shown.record)
    )
    return Again(runs, shown, apart, tuple(differences(recorded, found, TOLERANCE if apart else 0.0)))


def _unlike(tree: Mapping[str, Any]) -> Iterator[str]:
    here, then = as_tree(made_with()), tree.get("made_with", {})
    for one in differences(then, here):
        yield f"{one.place[-1]} {one.recorded or 'unknown'}, now {one.found or 'missing'}"
