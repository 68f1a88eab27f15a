"""LossOptCLI, which is LightningCLI with our own settings.

It has this package's parser settings, logger and callbacks, and errors of one line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any

import lightning.pytorch as pl
from jsonargparse import Namespace, set_parsing_settings
from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar as BaseBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger, MLFlowLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lit_lossopt.config.branch import BRANCH
from lit_lossopt.config.check import ALLOWED_IMPORTS, LINKED
from lit_lossopt.config.help import BRANCH_HELP, COMPILE, DIAGNOSTICS, FP32_PRECISION, SEED, THREADS
from lit_lossopt.config.lightning_callbacks import check_built
from lit_lossopt.config.quoted_values import check_quoted
from lit_lossopt.config.words import Prepared
from lit_lossopt.core.errors import UserError, described, one_line
from lit_lossopt.core.heap import keep_freed_memory
from lit_lossopt.core.names import Exit
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.data import ImageDataModule
from lit_lossopt.diagnostics.request import parse_request
from lit_lossopt.networks.pretrained_weights import weights_left_unread
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.training.callbacks.checkpoints import RunCheckpoints
from lit_lossopt.training.callbacks.compile_step import Compile
from lit_lossopt.training.callbacks.health_watch import DivergedError
from lit_lossopt.training.callbacks.line_stream import lines_above_bars
from lit_lossopt.training.callbacks.predictions import PredictionTable
from lit_lossopt.training.callbacks.probe_loss import ProbeLoss
from lit_lossopt.training.callbacks.table import callbacks_of, parts_of
from lit_lossopt.training.checkpoint_cli import CheckpointCLI
from lit_lossopt.training.distributed import collectives as ranks
from lit_lossopt.training.distributed.ddp import Distribution
from lit_lossopt.training.distributed.launcher import LOST
from lit_lossopt.training.ending_lines import say_where
from lit_lossopt.training.library_messages import quieten, remedy_for, typed_errors
from lit_lossopt.training.module import LossOptModule
from lit_lossopt.training.monitors import check_monitors, check_plateau
from lit_lossopt.training.numerics import FP32Precision, set_numerics
from lit_lossopt.training.parser_types import at_home, register_types
from lit_lossopt.training.preflight import (
    check_batches,
    check_budget,
    check_device_stats,
    check_groups,
    check_numbers,
    check_precision,
    check_products,
    check_shares,
)
from lit_lossopt.training.profiling import NoProfiler
from lit_lossopt.training.run_description import RunDescription
from lit_lossopt.training.stopped import stopped_line, stopped_lines
from lit_lossopt.training.training_length import batches_of_epoch, planned_length
from lit_lossopt.training.trial_step import TrialStep

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_epochs": 5,
    # Results are those of one device unless several are asked for; "auto" would take every GPU there is.
    "devices": 1,
    # A whole validation before the first step: curves begin at step 0.
    "num_sanity_val_steps": -1,
    "enable_model_summary": False,
    # Values of steps do not go through Lightning's own logging; 1 only keeps its warning about short epochs away.
    "log_every_n_steps": 1,
    # The order of batches is ours: a function of (seed, epoch).
    "use_distributed_sampler": False,
    # Each epoch's loader is made anew, so that it can begin where the epoch was interrupted.
    "reload_dataloaders_every_n_epochs": 1,
}


def run_trainer(prepared: Prepared, make: Callable[[Prepared], LossOptCLI] | None = None) -> int:
    """Run a command and return the exit status.

    It is ``fit``, ``validate``, ``test`` or ``predict``.

    Args:
        prepared: settings.
        make: makes the command line; None: that of this module.

    Raises:
        UserError: something that a person typed or provided cannot be used.
    """
    try:
        return build(prepared, make or LossOptCLI).run()
    except RuntimeError as error:
        if not ranks.lost_another(error):
            raise
        print("lossopt: another process of this run has ended, so this one has too", file=sys.stderr)
        return LOST


def build(prepared: Prepared, make: Callable[[Prepared], LossOptCLI]) -> LossOptCLI:
    """Build the classes and the trainer of a command.

    Raises:
        UserError: something that a person typed or provided cannot be used.
    """
    quieten()
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*ALLOWED_IMPORTS, *prepared.allowed])
    with typed_errors(prepared):
        return make(prepared)


class LossOptCLI(CheckpointCLI):
    """The parser, the classes and the trainer of one command.

    ``run`` runs it.

    Args:
        prepared: settings.
        record: the tag of a run that is no training; see ``RunDescription``.

    Attributes:
        module_class: what is trained.
    """

    module_class: type[LossOptModule] = LossOptModule

    def __init__(self, prepared: Prepared, record: str = "") -> None:
        self.command, self.words, self.record = prepared.command, prepared.words, record
        self.settings, self.resume, self.unrecorded = prepared.settings, prepared.resume, prepared.unrecorded
        self.checkpoint: dict[str, Any] = {}
        self.release: Callable[[], None] = lambda: None
        register_types()
        strict = {"allow_abbrev": False, "exit_on_error": False}
        # What is borrowed is given back at once if building fails.
        with ExitStack() as borrowed:
            self.borrowed = borrowed
            super().__init__(
                self.module_class,
                ImageDataModule,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
                save_config_callback=RunDescription,
                save_config_kwargs={"save_to_log_dir": False, "words": prepared.words, "record": record},
                trainer_defaults=TRAINER_DEFAULTS,
                parser_kwargs={**strict, self.command: strict},
                args=prepared.arguments(),
            )
            self.borrowed = borrowed.pop_all()

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning only ever calls it on self
        """Return the one command that is run.

        To build a parser takes a second.
        """
        return {self.command: LightningCLI.subcommands()[self.command]}

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Ask for the seed as a number.

        True would mean 0.
        """
        parser.add_argument("--seed_everything", type=NonNegativeInt, default=0, help=SEED)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add this package's own settings, and link what the data decide."""
        parser.add_argument("--threads", type=PositiveInt | None, default=None, help=THREADS)
        parser.add_argument("--compile", type=Compile, default=False, help=COMPILE)
        parser.add_argument("--fp32_precision", type=FP32Precision | None, default=None, help=FP32_PRECISION)
        parser.add_class_arguments(RunLogger, "tracking")
        parser.add_class_arguments(RunCheckpoints, "checkpoints")
        parser.add_class_arguments(ProbeLoss, "probe")
        parser.add_argument("--diagnostics", type=str | bool, default="default", help=DIAGNOSTICS)
        parser.add_argument(f"--{BRANCH}", type=str | None, default=None, help=BRANCH_HELP)
        parser.add_lightning_class_args(PredictionTable, "predictions")
        for name in LINKED["model"][:-1]:
            parser.link_arguments(f"data.{name}", f"model.{name}", apply_on="instantiate")
        parser.link_arguments("seed_everything", "model.seed")
        parser.link_arguments("seed_everything", "data.init_args.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse without Lightning's warning about arguments given in Python."""
        self.config: Namespace = parser.parse_args(args)  # type: ignore[arg-type]  # a list here
        check_quoted(self.settings, self.config[self.command])
        self.find_origins()

    def _parse_ckpt_path(self) -> None:
        """Skip Lightning's own look into the checkpoint. Ours hold no hyperparameters."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Leave running to ``run``.

        This keeps errors of what was typed apart from errors of training.
        """

    def before_instantiate_classes(self) -> None:
        """Set how the process computes, before it does.

        The home folder is found for what only hands paths on.
        """
        keep_freed_memory()
        set_numerics(self._get(self.config, "threads"), self._get(self.config, "fp32_precision"))
        trainer = self.config[self.command]["trainer"]
        for name in ("logger", "profiler"):
            trainer[name] = at_home(trainer.get(name))

    def instantiate_classes(self) -> None:
        """Build everything.

        Pretrained weights are not read where a checkpoint brings trained ones.
        """
        given = self._get(self.config, "ckpt_path") or self.branch
        with weights_left_unread() if given else nullcontext():
            super().instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Return the trainer with this package's logger and callbacks."""
        given = self._get(self.config_init, "trainer")
        loggers = self._loggers(given)
        own = given.get("callbacks") or []
        own = own if isinstance(own, list) else [own]
        check_built(own)
        callbacks = self._callbacks(given, bar=not any(isinstance(one, BaseBar) for one in own))
        self.distribution = Distribution(given, frozen=bool(self._get(self.config_init, "model").frozen_epochs))
        together = self.distribution.trainer_arguments(loggers or False)
        together |= {} if given.get("profiler") else {"profiler": NoProfiler()}
        return super().instantiate_trainer(callbacks=[*own, *callbacks], **together, **kwargs)

    def _loggers(self, given: Any) -> list[Logger]:
        """Return our record and whatever loggers were added.

        Our record is left out if it is switched off, or if the command has none.
        """
        own = given.get("logger")
        own = [] if own is None or isinstance(own, bool) else own if isinstance(own, list) else [own]
        recorded = self.command in ("fit", "test") and not self.unrecorded
        # Ours comes first: Lightning takes a run's name and id from the first.
        record = [self._get(self.config_init, "tracking")] if recorded else []
        if record and any(isinstance(logger, MLFlowLogger) for logger in own):
            print(
                "lossopt: trainer.logger=MLFlowLogger makes a second run in MLflow, beside the record", file=sys.stderr
            )
        return [*record, *own]

    def _callbacks(self, given: Any, *, bar: bool) -> list[pl.Callback]:
        """Return this package's callbacks in their order."""
        self.checkpoints: RunCheckpoints = self._get(self.config_init, "checkpoints")
        self.checkpoints.go_unrecorded(self.unrecorded)
        probe, mode = (self._get(self.config_init, name) for name in ("probe", "compile"))
        request = parse_request(self._get(self.config_init, "diagnostics"))
        parts = parts_of(self.checkpoints, probe, request, given, mode, trains=self.command == "fit", bar=bar)
        self.signals = parts.signals
        return callbacks_of(parts)

    def after_instantiate_classes(self) -> None:
        """Try everything that can be tried before a run exists.

        What does not fit is said now.
        """
        self.distribution.join(self.trainer)
        check_precision(self.trainer, self._get(self.config_init, "trainer").get("precision"))
        check_device_stats(self.trainer)
        self.find_checkpoint()
        if self.command == "fit":
            check_products(self.trainer, self._get(self.config_init, "fp32_precision"))
            check_budget(self.trainer)
            check_numbers(self.trainer)
            check_monitors(self.model, self.trainer)
            self._try_batches()

    def _try_batches(self) -> None:
        """Try data, network, loss, optimizer and schedule."""
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        batches = len(self.datamodule.train_dataloader())
        length = planned_length(self.trainer, batches_of_epoch(self.trainer, batches))
        self.model.schedule.end_at(length.counted_in(self.model.schedule.unit))
        if self.checkpoint:
            self.check_checkpoint()
        check_batches(self.trainer, batches)
        for loader in (self.datamodule.val_dataloader(), self.datamodule.train_dataloader()):
            batch = self.datamodule.on_after_batch_transfer(next(iter(loader)), 0)
            self.model.check_batch(batch)
        check_shares(self.trainer, self.datamodule, self.model)
        trial = TrialStep(self.model, self.trainer, batch)
        check_plateau(trial.check(), self.model, self.trainer)
        if self.checkpoint and not self.continuation.optimizer_afresh:
            check_groups(self.checkpoint, trial.optimizer())
        note = trial.misfit()
        if note and self.trainer.is_global_zero:
            tell(f"lossopt: {note}", sys.stderr)

    def run(self) -> int:
        """Run the command and return the exit status."""
        try:
            self.find_run()
            with self.signals.listening(), lines_above_bars():
                super()._run_subcommand(self.command)
        except SIGTERMException:
            return self._say_stopped("SIGTERM", Exit.TERMINATED)
        except DivergedError as error:
            tell(f"diverged: {error}", sys.stderr)
            return Exit.DIVERGED
        except SystemExit:
            if self.trainer.interrupted:
                return self._say_stopped("Ctrl-C", Exit.INTERRUPTED)
            raise
        except MisconfigurationException as error:
            raise UserError(one_line(str(error))) from error
        except UserError:
            raise
        except Exception as error:
            remedy = remedy_for(error)
            if remedy is None and (self.command == "fit" or ranks.lost_another(error)):
                raise
            problem = described(error)
            raise UserError(f"{remedy} ({problem})" if remedy else f"{self.command}: {problem}") from error
        finally:
            self.release()
            self.borrowed.close()
        if self.command == "fit":
            say_where(self.trainer, self.record)
        lost = isinstance(self.trainer.logger, RunLogger) and self.trainer.logger.lost
        saves = [callback for callback in self.trainer.checkpoint_callbacks if isinstance(callback, RunCheckpoints)]
        return Exit.INCOMPLETE if lost or any(one.is_behind for one in saves) else 0

    @property
    def recorded_run(self) -> str:
        """The id of the run that was recorded, or an empty text."""
        logger = self.trainer.logger
        return str(logger.version or "") if isinstance(logger, RunLogger) else ""

    def _say_stopped(self, by: str, status: int) -> int:
        """Say what is left of a stopped run, and how to go on.

        Return the exit status.
        """
        if self.command == "fit" and not self.record:
            step, saved = self.trainer.global_step, self.checkpoints.last_saved()
            lines = stopped_lines(self.words, by, step, saved, self.resume)
        else:
            lines = [stopped_line(self.words[0], by)]
        tell("\n".join(lines), sys.stderr)
        return status
