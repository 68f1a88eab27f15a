"""The part of LossOptCLI that goes on from a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch.trainer.states import TrainerFn

from lit_lossopt.config.branch import BRANCH, WEIGHTS, read_origin
from lit_lossopt.config.description import trial_key
from lit_lossopt.config.words import LAST
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import RUN_KEY
from lit_lossopt.core.paths import given_path
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.training.arm import steps_in_words
from lit_lossopt.training.branch import State, found_state
from lit_lossopt.training.callbacks.checkpoints import RunCheckpoints
from lit_lossopt.training.checkpoint_file import read_best_of, read_verified
from lit_lossopt.training.continuation import Continuation, branch_off, continuation_of, continue_run
from lit_lossopt.training.distributed import collectives as ranks
from lit_lossopt.training.parser_ahead import ParserAheadCLI
from lit_lossopt.training.preflight import check_left, check_place, check_weights
from lit_lossopt.training.resume import claim_settings, last_checkpoint, unfinished_checkpoint
from lit_lossopt.training.run_description import resolved_config


class CheckpointCLI(ParserAheadCLI):
    """A LightningCLI that finds a checkpoint, and the run that the checkpoint belongs to.

    A subclass sets these attributes before it builds anything.

    Attributes:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        resume: what was typed behind ``--resume``.
        checkpoint: the content of the checkpoint; empty without one.
        continuation: how training goes on from it; there once the checkpoint was checked.
        words: what was typed, the command first.
        borrowed: what is given back at the end.
        branch: the state that a new run branches off, if one does.
        lacking: why where this run began was not found. It is no matter if the run only goes on.
        checkpoints: the callback that saves.
        release: lets others resume a run of the same settings.
    """

    command: str
    resume: str
    checkpoint: dict[str, Any]
    continuation: Continuation
    words: list[str]
    borrowed: ExitStack
    branch: State | None = None
    lacking: UserError | None = None
    checkpoints: RunCheckpoints
    release: Callable[[], None]

    def find_checkpoint(self) -> None:
        """Read the checkpoint that was asked for.

        The Trainer takes the one that was whole.
        """
        used = ranks.from_first(self._choose_checkpoint() if self.trainer.is_global_zero else None)
        if not ranks.from_first(self.branch is not None):
            self.branch = None
        if used is None:
            return
        if not self.trainer.is_global_zero:
            self.checkpoint = read_verified(used)
        # The Trainer reads the file again; nothing in it is executed then either.
        # A branch's config names its state by the run. The file may be gone when the branch is repeated.
        configs = (self.config_init,) if self.branch else (self.config, self.config_init)
        for config in configs:
            config[self.command]["ckpt_path"] = str(used)
            config[self.command]["weights_only"] = True

    def find_origins(self) -> None:
        """Find the states of other runs that this one begins with, and name them in the settings by their runs' ids."""
        settings = self.config[self.command]
        if self.command != "fit":
            return
        try:
            if settings.get(BRANCH):
                self.branch = self.borrowed.enter_context(self._named(settings, BRANCH, f"--{BRANCH}"))
            if settings["model"].get(WEIGHTS):
                # They are read where the network is built, and not kept beside it.
                with self._named(settings["model"], WEIGHTS, f"--model.{WEIGHTS}"):
                    pass
        except UserError as error:
            # A run that goes on has begun already, and where it did may be gone.
            if not (settings.get("ckpt_path") or self.resume == "auto"):
                raise
            self.lacking = error

    @contextmanager
    def _named(self, settings: Any, name: str, key: str) -> Iterator[State]:
        """Yield the state that a setting means, which from now on names it by its run's id."""
        typed, experiment = settings[name], self.config[self.command]["tracking"]["experiment"]
        with found_state(read_origin(typed, key), experiment, key) as state:
            settings[name] = state.origin
            self.words = [
                word.replace(typed, state.origin)
                if word == f"{key}={typed}" or (last == key and word == typed)
                else word
                for last, word in zip(["", *self.words], self.words, strict=False)
            ]
            self.save_config_kwargs["words"] = self.words
            yield state

    def _choose_checkpoint(self) -> Path | None:
        """Read the checkpoint, or the one before it.

        Return its file.
        """
        settings = self.config[self.command]
        path = settings.get("ckpt_path")
        if self.resume == "auto":
            key = trial_key(resolved_config(self._parser(self.command), settings))
            tracking = settings["tracking"]
            run = (tracking["experiment"], key, tracking["tags"] or {})
            self.release = claim_settings(*run)
            path = unfinished_checkpoint(*run)
            print(f"resuming from {path}" if path else "nothing to resume; a new run begins", flush=True)
        elif path == LAST:
            path = last_checkpoint(settings["tracking"]["experiment"])
        if not path and self.branch:
            self.checkpoint = dict(self.branch.content)
            return self.branch.path
        self.branch = None
        if not path:
            if self.lacking:
                raise self.lacking
            return None
        self.checkpoint, used, problem = read_best_of(given_path(path))
        if problem:
            tell(f"lossopt: {problem}; the checkpoint before it is used", sys.stderr)
        return used

    def check_checkpoint(self) -> None:
        """Refuse weights of another loss, other classes or another split.

        This comes before a run exists.
        """
        now = resolved_config(self._parser(self.command), self.config[self.command])
        path = Path(self.config_init[self.command]["ckpt_path"])
        self.continuation = continuation_of(self.checkpoint, path, now)
        if self.branch:
            trunk = steps_in_words(self.checkpoint)
            self.continuation = replace(self.continuation, trunk=trunk, branches=True)
        asked = f"--{BRANCH}" if self.branch else "--ckpt_path"
        check_place(self.continuation.changed, self.checkpoint, asked)
        check_weights(self.model, self.checkpoint, asked)
        self.model.go_on(self.continuation)
        state = self.checkpoint.get(type(self.datamodule).__qualname__)
        self.trainer.state.fn = TrainerFn.FITTING
        self.datamodule.trainer = self.trainer
        try:
            if state:
                self.datamodule.load_state_dict(state)
            self.model.on_load_checkpoint(self.checkpoint)
        except UserError as error:
            raise UserError(str(error).replace("--ckpt_path", asked)) from error
        # Until training begins, loaders serve whole batches.
        self.datamodule.trainer = None

    def find_run(self) -> None:
        """Find the run of the checkpoint, where there is one.

        Results go to it, and training goes on as settings allow.
        """
        logger, run_id = self.trainer.logger, self.checkpoint.get(RUN_KEY)
        logger = logger if isinstance(logger, RunLogger) else None
        if self.command == "fit" and self.checkpoint:
            if self.continuation.changed or self.branch:
                check_left(self.trainer, self.checkpoint, f"--{BRANCH}" if self.branch else "--ckpt_path")
            begins_run = logger is not None and not self.branch
            if self.branch:
                branch_off(logger, self.branch.run, self.continuation)
            elif logger and run_id:
                begins_run = not continue_run(logger, run_id, self.continuation, force=self.resume == "force")
            elif logger:
                print("a new run begins from the checkpoint, which names none", flush=True)
            # A run that only takes over what a branch has come to is no branch.
            trunk = "" if begins_run else self.continuation.trunk
            self.continuation = replace(self.continuation, begins_run=begins_run, trunk=trunk)
            self.model.go_on(self.continuation)
            self.checkpoints.go_on(self.continuation)
            if (before := self.model.schedule.moved_from) is not None:
                print(
                    f"the schedule goes on for a training of {self.model.schedule.planned} "
                    f"{self.model.schedule.unit}s, not of {before}",
                    flush=True,
                )
        elif logger and run_id and (attached := logger.attach(run_id)):
            print(f"test results go to run {attached}")
