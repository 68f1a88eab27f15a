"""The kept state of another run, from which a training begins.

A run keeps states with ``--checkpoints.keep_steps``, beside its last and its best one. They are found by what a person
types, on this machine or in the store.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lit_lossopt.config.branch import Origin, read_origin
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.paths import given_path, is_file
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.networks.pretrained_weights import load_trained
from lit_lossopt.tracking.run_journals import final_id
from lit_lossopt.training.arm import steps_in_words
from lit_lossopt.training.checkpoint_file import DamagedError, previous_of, read_verified

# Of a run's id.
_BEGINNING = re.compile("[0-9a-f]{4,32}")


@dataclass(frozen=True)
class State:
    """A state that a run has kept.

    Attributes:
        run: id of the run. Empty: the file names none.
        step: after which it was kept.
        path: its file.
        content: of the file.
        typed: the path, where a person has typed one.
    """

    run: str
    step: int
    path: Path
    content: Mapping[str, Any]
    typed: str = ""

    @property
    def origin(self) -> str:
        """What names this state for good, as a person types it."""
        return self.typed or f"{self.run}@{self.step}"


@contextmanager
def found_state(origin: Origin, experiment: str, key: str) -> Iterator[State]:
    """Yield the state that was asked for.

    A state from another machine is removed from this one at the end.

    Args:
        origin: as typed.
        experiment: in which runs are looked for by their name and by the key of their settings.
        key: what asked for it, for errors.

    Raises:
        UserError: there is no such run, or it has not kept that state.
    """
    path = given_path(origin.run)
    if is_file(path):
        yield _of_file(path, origin.run, key)
        return
    # Its import takes seconds.
    from lit_lossopt.tracking.artifacts import checkpoint_folder, runs_called

    lacking = []
    for run in _folders_here(origin.run) or runs_called(origin.run, experiment):
        with checkpoint_folder(run, _wanted(origin)) if isinstance(run, str) else _here(run) as (run_id, folder):
            state, damaged = _state_in(folder, run_id, origin)
            if state is not None:
                for problem in damaged:
                    tell(f"lossopt: {problem}; another state is used", sys.stderr)
                yield state
                return
            lacking.append("; ".join(damaged) or _lacking(folder, run_id, origin))
    raise UserError(f"{key}={origin}: {lacking[0]}")


def begin_with(network: nn.Module, weights: str, image_size: int) -> str:
    """Give a network the weights of another run, in all but its head.

    Args:
        network: gives its last layer as its attribute ``head``.
        weights: ``RUN@STEP``, or a checkpoint file.
        image_size: size of the images in pixels.

    Returns:
        What was trained before, in words that do not depend on a seed.

    Raises:
        ValueError: the weights do not fit.
        UserError: there are none.
    """
    key = "--model.weights"
    with found_state(read_origin(weights, key), "", key) as state:
        try:
            load_trained(network, state.content["state_dict"], image_size)
        except ValueError as error:
            raise ValueError(f"model.weights={weights}: {error}") from error
        return steps_in_words(state.content)


def _wanted(origin: Origin) -> list[str]:
    """Return the names of files that may hold the state, the likeliest first."""
    # Not the best state: it may be one from which training cannot go on to the bit.
    usual = [names.LAST_STATE, previous_of(Path(names.LAST_STATE)).name]
    return usual if origin.step is None else [names.kept_state(origin.step), *usual]


@contextmanager
def _here(folder: Path) -> Iterator[tuple[str, Path]]:
    yield folder.parents[1].name, folder


def _folders_here(run: str) -> list[Path]:
    """Return the checkpoint folder of a run in the working folder, by the run's id or its beginning."""
    root = Path(names.RUNS_FOLDER)
    is_id = _BEGINNING.fullmatch(run)
    found = sorted(root.glob(f"*/{run}*/artifacts/{names.CHECKPOINT_FOLDER}")) if is_id else []
    return found if len(found) == 1 else []


def _of_file(path: Path, typed: str, key: str) -> State:
    try:
        content = read_verified(path)
    except DamagedError as error:
        raise UserError(f"{key}: {error}") from error
    run_id = str(content.get(names.RUN_KEY, ""))
    known = final_id(Path(names.JOURNAL_FOLDER), run_id) if run_id else ""
    return State(known, int(content["global_step"]), path, content, typed)


def _state_in(folder: Path, run_id: str, origin: Origin) -> tuple[State | None, list[str]]:
    """Return the state among a run's checkpoints, and what is wrong with files that were passed over."""
    damaged = []
    for path in (folder / name for name in _wanted(origin)):
        if not path.is_file():
            continue
        try:
            content = read_verified(path)
        except DamagedError as error:
            damaged.append(str(error))
            continue
        step = int(content["global_step"])
        if origin.step in (None, step):
            return State(run_id, step, path, content), damaged
    return None, damaged


def _lacking(folder: Path, run_id: str, origin: Origin) -> str:
    """Return words on what a run has kept in place of a state."""
    kept = []
    for path in (*folder.glob("step-*.ckpt"), *folder.glob("last*.ckpt")):
        try:
            kept.append(int(read_verified(path)["global_step"]))
        except DamagedError:
            continue
    there = f"it has those of steps {', '.join(map(str, sorted(set(kept))))}" if kept else "it has none"
    wanted = "no last state" if origin.step is None else f"no state of step {origin.step}"
    again = f"; train it again with --checkpoints.keep_steps=[{origin.step}]" if origin.step else ""
    return f"run {run_id} has kept {wanted} ({there}){again}"
