"""The best and the last state of a run.

They are saved only where training can go on from them to the bit.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint, Timer

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.recording import Recorder
from lit_lossopt.training.callbacks.checkpoint_folders import check_apart, choose_folder, run_of
from lit_lossopt.training.callbacks.step_values import StepValues
from lit_lossopt.training.checkpoint_file import is_whole, link_checkpoint, previous_of, write_checkpoint
from lit_lossopt.training.continuation import Continuation
from lit_lossopt.training.distributed import collectives as ranks
from lit_lossopt.training.loop_state import (
    as_if_validated,
    forget_validation,
    goes_on,
    may_save,
    metrics_of,
    restore_metrics,
    state_of,
    validate_now,
    within_epoch,
)

_OWN = (__name__.partition(".")[0] + ".", Timer.__module__)
GIGABYTE = 1e9
ASK_EVERY = 10


class RunCheckpoints(Checkpoint):
    """Keeps ``best.ckpt``, ``last.ckpt`` and the last before it.

    They are in the run's own folder. The best has the highest validation accuracy.

    A state is saved after each epoch's validation, whenever the accuracy is the best so far, and between by steps or
    minutes. Not every moment will do: never while gradients are half accumulated, nor between a batch and the
    validation that is due after it, which would be lost. A signal that comes while validating saves a state from which
    that validation is done anew. Each checkpoint names its run, so that ``test --ckpt_path FILE`` adds its results
    there and ``fit --ckpt_path FILE`` continues it.

    Args:
        keep_steps: states after these steps are kept for good, as ``step-400.ckpt``, for branches that begin there.
        every_n_steps: also after so many steps; None: not by steps.
        every_minutes: also after so many minutes without one; None: not by time.
        max_gigabytes: disk that the checkpoints of a run may take; the one before the last goes first, then the best.
            States of ``keep_steps`` stay.

    Raises:
        UserError: one of these is not above zero.
    """

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_minutes: float | None = 10.0,
        max_gigabytes: float | None = None,
        keep_steps: list[int] | None = None,
    ) -> None:
        limits = {"every_n_steps": every_n_steps, "every_minutes": every_minutes, "max_gigabytes": max_gigabytes}
        for name, value in limits.items():
            if value is not None and not value > 0:
                raise UserError(f"checkpoints.{name}={value}: must be above 0, or null for no such checkpoints")
        wrong = next((step for step in keep_steps or () if step < 1), None)
        if wrong is not None:
            raise UserError(
                f"checkpoints.keep_steps: {wrong} is no step behind which a state can be kept; steps count from 1"
            )
        self.keep_steps = frozenset(keep_steps or ())
        self.every_n_steps, self.every_minutes = every_n_steps, every_minutes
        self.max_gigabytes = max_gigabytes
        self.dirpath: str | None = None
        self._step_values: StepValues | None = None
        self._unrecorded = ""
        self._best = -1.0
        self._saved_step = self._begun = 0
        self._metrics: dict[str, float] = {}
        self._saved_at = time.monotonic()
        self._due = self._stopped = False
        self.continuation: Continuation | None = None
        # Whether last.ckpt is this process's, and so known to be whole.
        self._wrote_last = False
        self._said: set[str] = set()
        # Saves that the disk did not take, and whether the last one was such.
        self._failures = 0
        self.is_behind = False

    def join(self, step_values: StepValues) -> None:
        """Take what is sent before each checkpoint."""
        self._step_values = step_values

    def go_unrecorded(self, switch: str) -> None:
        """Take note of what switches the run's record off."""
        self._unrecorded = switch

    def go_on(self, continuation: Continuation) -> None:
        """Take note of the checkpoint that training goes on from."""
        self.continuation = continuation

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Choose the folder.

        It is the run's artifacts where there is a run, otherwise a new one below the Trainer's root.
        """
        if stage != "fit":
            return
        folder = choose_folder(trainer, self._unrecorded) if trainer.is_global_zero else ""
        self.dirpath = str(trainer.strategy.broadcast(folder))
        check_apart(trainer.checkpoint_callbacks, self)

    def state_dict(self) -> dict[str, Any]:
        """Return the best accuracy so far."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._best = state_dict.get("best", self._best)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Name the run in the checkpoint and say what it has logged.

        It also says if a callback has ended training.
        """
        checkpoint[names.RUN_KEY] = run_of(trainer)
        checkpoint[names.LOGGED_KEY] = next((one.logged() for one in trainer.loggers if isinstance(one, Recorder)), {})
        checkpoint[names.STOPPED_KEY] = trainer.should_stop
        checkpoint[names.METRICS_KEY] = metrics_of(trainer)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember a validation that was cut short.

        It is also remembered that training was told to stop.
        """
        self._due, self._stopped = (
            bool(checkpoint.get(names.VALIDATION_DUE_KEY)),
            bool(checkpoint.get(names.STOPPED_KEY)),
        )
        self._saved_step = self._begun = checkpoint["global_step"]
        self._metrics = checkpoint.get(names.METRICS_KEY, {})
        if self.continuation and self.continuation.callbacks_afresh:
            # Their states hold the settings of then, which would win over those of now.
            for callback in trainer.callbacks:  # type: ignore[attr-defined]  # it is there
                if not type(callback).__module__.startswith(_OWN):
                    checkpoint["callbacks"].pop(callback.state_key, None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Repeat the validation that was cut short.

        Training ends where it was told to.
        """
        self._saved_at = time.monotonic()
        restore_metrics(trainer, self._metrics)
        if self._best >= 0 and not ranks.from_first(self._has_best(trainer)):
            self._best = -1.0
        # Where settings have changed, training has no longer ended.
        trainer.should_stop |= self._stopped and not (self.continuation and self.continuation.changed)
        if self._due:
            self._due = False
            validate_now(trainer)
            # At an epoch's end Lightning would take that epoch, and each one after it, for trained and validated.
            forget_validation(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save by steps or minutes."""
        step = trainer.global_step
        by_steps = self.every_n_steps is not None and step >= self._saved_step + self.every_n_steps
        wanted = by_steps or step in self.keep_steps or self._by_time(step)
        if wanted and step != self._saved_step and may_save(trainer):
            self._save_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after an epoch's validation, and the best."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        accuracy = float(trainer.callback_metrics.get(names.metric(names.VAL, "accuracy"), -1.0))
        is_best = accuracy > self._best
        self._best = max(accuracy, self._best)
        due = (is_best or not within_epoch(trainer) or trainer.global_step in self.keep_steps) and goes_on(trainer)
        if not (due and self._save_last(trainer, is_best=is_best)) and is_best:
            self._write(trainer, state_of(trainer), "best", keep_previous=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the state in which training ended."""
        if trainer.global_step != self._saved_step:
            self._save_last(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the state behind a last evaluation.

        It was cut short, and done anew by ``FinalEvaluation``.
        """
        if self._due:
            self._due = False
            self._save_last(trainer)
        if self._failures and trainer.is_global_zero:
            left = "the state in which training ended is lost" if self.is_behind else "the last one is whole"
            self._say_once("count", f"{self._failures} checkpoints could not be written; {left}")
        lacking = [
            step for step in sorted(self.keep_steps) if not self._path(Path(names.kept_state(step)).stem).exists()
        ]
        if lacking and trainer.is_global_zero:
            steps, end = ", ".join(map(str, lacking)), trainer.global_step
            began = f"began at {self._begun} and " if lacking[0] <= self._begun else ""
            self._say_once("kept", f"no state of step {steps} was kept, because training {began}ended at {end}")

    def save_before_stopping(self, trainer: pl.Trainer) -> None:
        """Save the state in which a signal ends training.

        It may also end validation.
        """
        self._save_last(trainer, validation_due=trainer.validating)

    def last_saved(self) -> tuple[int, Path] | None:
        """Return the step and the file of the last good state.

        One can go on from it. The result is None if there is none.
        """
        if self.dirpath is None or not is_whole(self._path("last")):
            return None
        return self._saved_step, self._path("last")

    def _has_best(self, trainer: pl.Trainer) -> bool:
        """Bring the best state to where the run's folder is now.

        Return whether a later state must be better than the best so far.

        Not in a new run, nor where the best state was left behind: otherwise there might never be one.
        """
        best = self._path("best")
        if not trainer.is_global_zero or best.exists():
            return True
        if self.continuation is None or self.continuation.begins_run or self.continuation.branches:
            return False
        if self.continuation.folder.absolute() == best.parent.absolute():
            # In the same folder it was removed to keep to the limit.
            return True
        try:
            best.parent.mkdir(parents=True, exist_ok=True)
            link_checkpoint(self.continuation.folder / best.name, best)
        except OSError as error:
            self._say_once("best", f"{best} is not there ({error.strerror}); the best state from here on will be")
            return False
        return True

    def _by_time(self, step: int) -> bool:
        """Return whether the minutes are over.

        Of several ranks the first decides, and is asked at every tenth step.
        """
        if self.every_minutes is None or (ranks.several() and step % ASK_EVERY):
            return False
        return ranks.from_first(time.monotonic() - self._saved_at >= 60 * self.every_minutes)

    def _save_last(self, trainer: pl.Trainer, *, validation_due: bool = False, is_best: bool = False) -> bool:
        if self._step_values:
            # The journal must never be behind a checkpoint.
            self._step_values.flush(trainer, trainer.lightning_module)
        checkpoint = state_of(trainer)
        if validation_due:
            checkpoint[names.VALIDATION_DUE_KEY] = True
            as_if_validated(checkpoint)
        keep = self._wrote_last or is_whole(self._path("last"))
        # What the first rank has done, which alone writes: the others must not believe otherwise.
        also = self._path("best") if is_best else None
        saved = ranks.from_first(self._write(trainer, checkpoint, "last", keep_previous=keep, also=also))
        if saved:
            self._keep_for_good(trainer)
            self._wrote_last = True
            self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        return saved

    def _keep_for_good(self, trainer: pl.Trainer) -> None:
        """Give the state that was just saved a name that no later one takes."""
        step = trainer.global_step
        if step in self.keep_steps and trainer.is_global_zero:
            try:
                link_checkpoint(self._path("last"), self._path(Path(names.kept_state(step)).stem))
            except OSError as error:
                self._say_once("kept", f"the state of step {step} cannot be kept ({error.strerror})")

    def _write(
        self,
        trainer: pl.Trainer,
        checkpoint: dict[str, Any],
        name: str,
        *,
        keep_previous: bool,
        also: Path | None = None,
    ) -> bool:
        if not trainer.is_global_zero:
            return True
        try:
            size = write_checkpoint(checkpoint, self._path(name), keep_previous=keep_previous, also=also)
        except OSError as error:
            free = shutil.disk_usage(self._path(name).parent).free if self._path(name).parent.exists() else 0
            self._failures += 1
            self.is_behind |= name == "last"
            self._say_once(
                f"errno {error.errno}",
                f"{self._path(name)} cannot be written ({error.strerror}, {free:,} bytes free); the checkpoint before "
                "it is untouched, and later ones will be tried",
            )
            return False
        self.is_behind &= name != "last"
        self._keep_to_limit(size)
        return True

    def _keep_to_limit(self, size: int) -> None:
        if self.max_gigabytes is None:
            return
        for extra in (previous_of(self._path("last")), self._path("best")):
            folder = self._path("last").parent
            used = sum({file.stat().st_ino: file.stat().st_size for file in folder.glob("*.ckpt")}.values())
            if used > self.max_gigabytes * GIGABYTE and extra.exists():
                extra.unlink()
                self._say_once(
                    extra.name,
                    f"{extra.name} was removed, and will be from now on: checkpoints may take "
                    f"{self.max_gigabytes:g} GB, and one takes {size / GIGABYTE:.3g}",
                )

    def _say_once(self, about: str, message: str) -> None:
        """Say it the first time.

        Sizes in a message change from one to the next.
        """
        if about not in self._said:
            self._said.add(about)
            tell(f"lossopt: {one_line(message)}", sys.stderr)

    def _path(self, name: str) -> Path:
        return Path(str(self.dirpath)) / f"{name}.ckpt"
