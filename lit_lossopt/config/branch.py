"""From which step of which run a training begins, as it is typed: ``RUN@STEP``."""

from __future__ import annotations

from dataclasses import dataclass

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.paths import given_path, is_file

# Keys of ``fit``: of the run that a new one branches off, and of the run whose weights the network begins with.
BRANCH, WEIGHTS = "branch", "weights"


@dataclass(frozen=True)
class Origin:
    """A state of a run.

    Attributes:
        run: the run's id or the beginning of one, its name, the key of its settings, or a checkpoint file.
        step: after which the state was kept. None: the last one.
    """

    run: str
    step: int | None = None

    def __str__(self) -> str:
        """Return the origin as it is typed."""
        return self.run if self.step is None else f"{self.run}@{self.step}"


def read_origin(text: str, key: str) -> Origin:
    """Return the origin that a person typed.

    >>> read_origin("3f2a@400", "--branch")
    Origin(run='3f2a', step=400)

    Args:
        text: as typed.
        key: what it was typed behind, for errors.

    Raises:
        UserError: the step is no number of a step.
    """
    if is_file(given_path(text)):
        return Origin(text)
    run, at, step = text.rpartition("@")
    if not at:
        run, step = text, ""
    if not run.strip() or (at and not (step.isascii() and step.isdigit() and int(step))):
        raise UserError(f"{key}={text}: expected RUN or RUN@STEP, as 3f2a@400; a STEP is a whole number above 0")
    return Origin(run, int(step) if at else None)
