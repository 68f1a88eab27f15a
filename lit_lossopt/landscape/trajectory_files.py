"""The snapshots of runs, read from their files.

Files are mapped into memory, and read from the disk where they are needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.diagnostics.trajectory import Weights, decoded
from lit_lossopt.tracking.artifacts import artifact_folder
from lit_lossopt.tracking.reading.branches import trunk_of
from lit_lossopt.tracking.reading.runs import Run, read_runs

# Snapshots of a run at most: a path is smooth by then, and every pair of snapshots of all runs is multiplied.
MOST = 200
_FILE = re.compile(r"step_(\d+)\.pt")
HOW = "train with --diagnostics=trajectory, or full"


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The snapshots of one run.

    Attributes:
        name: of the run's arm.
        run: the run.
        steps: ``[n]``, rising; the first is where training began.
        contents: of the ``n`` files.
        start: the weights of the first.
    """

    name: str
    run: Run
    steps: tuple[int, ...]
    contents: tuple[Mapping[str, Any], ...]
    start: Weights

    def __len__(self) -> int:
        """Return the number of snapshots."""
        return len(self.steps)

    def until(self, count: int) -> Trajectory:
        """Return the path of the first ``count`` snapshots."""
        return replace(self, steps=self.steps[:count], contents=self.contents[:count])

    def weights(self, place: int) -> dict[str, Tensor]:
        """Return all tensors of a snapshot."""
        return decoded(self.contents[place], self.start)


@dataclass(frozen=True)
class Place:
    """A folder with snapshots, and the steps of which they are taken.

    Attributes:
        folder: of the run, or of the trunk that it branches off.
        behind: the step behind which snapshots are taken.
        until: the last step of which one is taken.
    """

    folder: Path
    behind: float = -inf
    until: float = inf

    def files(self) -> list[tuple[int, Path]]:
        """Return the steps and files of the snapshots, in order."""
        found = ((int(match[1]), path) for path in self.folder.glob("*.pt") if (match := _FILE.fullmatch(path.name)))
        return sorted((step, path) for step, path in found if self.behind < step <= self.until)


def read_trajectory(run: Run, name: str, places: Sequence[Place]) -> Trajectory | None:
    """Return the snapshots of a run up to the first with weights that are not finite.

    Of more than 200 so many are taken, evenly by their number, with the first and the last. None means that there are
    none.

    Raises:
        UserError: a file is damaged.
    """
    files = [file for place in places for file in place.files()]
    steps: list[int] = []
    files = [files[place] for place in _evenly(len(files))]
    contents: list[Mapping[str, Any]] = []
    start: Weights = {}
    for step, path in files:
        content = _content(path)
        if not start and content.get("moved"):
            raise UserError(
                f"{path}: the snapshot that training began with is gone, and the others cannot be read without"
            )
        try:
            start = start or decoded(content, {})
            weights = decoded(content, start)
        except (KeyError, AttributeError, TypeError, RuntimeError) as error:
            raise UserError(f"{path}: it holds other weights than the run's first snapshot. Remove it") from error
        if not all(bool(value.isfinite().all()) for value in weights.values() if value.is_floating_point()):
            break
        steps.append(step)
        contents.append(content)
    return Trajectory(name, run, tuple(steps), tuple(contents), start) if steps else None


@contextmanager
def trajectories(
    runs: Sequence[tuple[str, Run]], problem: Callable[[str, UserError], object] | None = None
) -> Iterator[list[Trajectory]]:
    """Yield the snapshots of those runs that have any.

    Files on other machines are downloaded for the time being.

    Args:
        runs: each with the name of its arm.
        problem: told of a run whose files are damaged or gone, with its name, which is then left out. None: it is an
            error.

    Raises:
        UserError: files are damaged, or the store does not answer.
    """
    with ExitStack() as stack:
        read = [_read(run, name, stack, problem) for name, run in runs]
        yield [trajectory for trajectory in read if trajectory]


def _places(run: Run, stack: ExitStack) -> Iterator[Place]:
    """Yield where the snapshots of a run are, those of the runs that it branches off first."""
    trunk = trunk_of(run)
    if trunk is None:
        yield Place(stack.enter_context(artifact_folder(run.run_id, names.TRAJECTORY_FOLDER))[1])
        return
    run_id, step = trunk
    (before,) = read_runs(run_ids=[run_id], deleted=True)
    yield from (replace(place, until=min(place.until, step)) for place in _places(before, stack))
    yield Place(stack.enter_context(artifact_folder(run.run_id, names.TRAJECTORY_FOLDER))[1], behind=step)


def _read(
    run: Run, name: str, stack: ExitStack, problem: Callable[[str, UserError], object] | None
) -> Trajectory | None:
    try:
        # The run that a branch begins from may be gone.
        return read_trajectory(run, name, list(_places(run, stack)))
    except UserError as error:
        if problem is None:
            raise
        problem(name, error)
        return None


def start_differs(first: Trajectory, other: Trajectory) -> str:
    """Return how the starts of two runs differ, or an empty text if they are the same to the bit."""
    if other.start.keys() != first.start.keys() or any(
        other.start[name].shape != value.shape for name, value in first.start.items()
    ):
        return "have different networks"
    if any(other.start[name].dtype != value.dtype for name, value in first.start.items()):
        return "were trained in different precisions"
    if not all(torch.equal(other.start[name], value) for name, value in first.start.items()):
        return "do not begin with the same weights"
    return ""


def logged_losses(run: Run) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the steps and values of the probe loss that a run has logged."""
    history = run.histories.get(names.PROBE_LOSS)
    if history is None:
        return np.empty(0), np.empty(0)
    return history.steps.astype(np.float64), history.values


def _evenly(count: int) -> list[int]:
    """Return places among so many, at most ``MOST``, with both ends.

    >>> _evenly(3)
    [0, 1, 2]
    """
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, MOST))})


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises whatever it stumbles on
        raise UserError(f"{path}: not a whole snapshot ({one_line(str(error), 100)})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a snapshot of weights")
    return content
