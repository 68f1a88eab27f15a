"""What delivery asks of a store.

A store's troubles are put here into a form that travels between processes. MLflow is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.redaction import redact
from lit_lossopt.tracking.journal_lines import Entry

# Answers that asking again does not change. Everything else may pass: a lock, a restart, a lost connection.
_FINAL = {
    "BAD_REQUEST", "CUSTOMER_UNAUTHORIZED", "ENDPOINT_NOT_FOUND", "INVALID_PARAMETER_VALUE", "INVALID_STATE",
    "NOT_IMPLEMENTED", "PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST", "UNAUTHENTICATED",
}  # fmt: skip


class RunGoneError(Exception):
    """The store does not have the run, or it was deleted there."""


class StoreError(Exception):
    """What a store answered to another process.

    Args:
        text: what it said, without passwords.
        final: whether asking again does not change it.
    """

    def __init__(self, text: str, final: bool) -> None:
        super().__init__(text)
        self.final = final


# All that a store in another process raises, beside UserError.
TROUBLES = (StoreError, RunGoneError, ImportError, OSError)


class Told(NamedTuple):
    """An error as it travels between processes."""

    kind: str
    text: str
    final: bool


class RunStore(Protocol):
    """A store in which a run is, or will be made.

    Each call may be repeated without harm.
    """

    uri: str

    @property
    def elsewhere(self) -> bool:
        """Return True if another process does the work.

        Then it takes no time from this one.
        """

    def is_being_made(self) -> bool:
        """Return True if it is too early to ask the store."""

    def create_run(self, header: Mapping[str, Any]) -> tuple[str, str]:
        """Return run id and artifact address of a run.

        ``header`` describes it.
        """

    def remove_twins(self, run_id: str, header: Mapping[str, Any]) -> None:
        """Delete other runs of the same journal."""

    def send(self, run_id: str, entries: Sequence[Entry], folder: Path) -> None:
        """Store entries in order."""

    def send_lines(self, run_id: str, folder: Path, start: int, end: int) -> None:
        """Store the entries between two places in a journal's file."""

    def counts(self, run_id: str) -> dict[str, int]:
        """Return metric → number of points in the store."""

    def holds(self, run_id: str, source: Path, name: str, home: Path) -> bool:
        """Return True if the artifacts have each file of a folder."""

    def check_run(self, run_id: str) -> None:
        """Raise RunGoneError if the store does not have the run."""

    def mark_undelivered(self, run_id: str, missing: int) -> None:
        """Tag a run whose values are not all there."""


def is_final(error: Exception) -> bool:
    """Return True if asking again would not change an error."""
    if isinstance(error, StoreError):
        return error.final
    return isinstance(error, UserError) or getattr(error, "error_code", None) in _FINAL


def tell(error: Exception) -> Told:
    """Return an error in a form that travels, without passwords."""
    kinds = {UserError: "user", RunGoneError: "gone", ImportError: "import", OSError: "system"}
    kind = next((kind for known, kind in kinds.items() if isinstance(error, known)), "store")
    return Told(kind, redact(str(error) or type(error).__name__), is_final(error))


def understood(told: Told) -> Exception:
    """Return the error that another process has told of."""
    plain = {"user": UserError, "gone": RunGoneError, "import": ImportError, "system": OSError}
    return plain[told.kind](told.text) if told.kind in plain else StoreError(told.text, told.final)
