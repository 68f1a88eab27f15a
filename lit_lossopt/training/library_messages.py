"""What the libraries say while a command is built and run.

It becomes one line for a person, or nothing.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException

from lit_lossopt.config.parser_messages import readable
from lit_lossopt.config.words import Prepared
from lit_lossopt.core import quiet
from lit_lossopt.core.errors import UserError, described
from lit_lossopt.training.distributed import collectives as ranks

# What a person typed can also show itself only while training: the libraries' words, and what they mean here.
_REMEDIES = {
    "loaded state dict": "--ckpt_path: the state of another optimizer; use its run's config.yaml",
    "loading state_dict": "--ckpt_path: the weights do not fit this network; use their run's config.yaml",
    "Early stopping conditioned on metric": "trainer.callbacks: EarlyStopping has no such metric; take val/loss or "
    "val/accuracy",
    "Expected more than 1 value per channel": "data.batch_size: this network's norms need more than one value a "
    "channel, and on images of this size that is a batch of at least two",
    "Tried to step": "model.lr_scheduler: its total_steps are fewer than the steps of training",
}
# Whose constructors are on the way to a person's classes.
_MAKERS = ("lit_lossopt.", "lightning.", "jsonargparse.", "argparse", "torch.", "torchvision.")


def remedy_for(error: Exception) -> str | None:
    """Return what to do about an error that training has met.

    The error must come of something typed.
    """
    return next((remedy for words, remedy in _REMEDIES.items() if words in str(error)), None)


@contextmanager
def typed_errors(prepared: Prepared) -> Iterator[None]:
    """Turn errors about a person's arguments into one line.

    The parser and the constructors raise them.
    """
    try:
        yield
    except (ArgumentError, ValueError, TypeError, ImportError, MisconfigurationException) as error:
        if "gpu backend" in str(error):
            raise UserError(
                "trainer.accelerator=gpu: torch finds no GPU here; leave it out to train on the CPU"
            ) from error
        fault = _of_constructor(error)
        raise UserError(fault or readable(str(error), prepared.settings, dict(prepared.rest))) from error
    except UserError:
        raise
    except Exception as error:
        # Classes of other packages raise whatever they like.
        if ranks.lost_another(error):
            raise
        raise UserError(f"{_maker(error)}{described(error)}; LOSSOPT_TRACEBACK=1 shows the way there") from error


def _of_constructor(error: BaseException) -> str:
    """Return what a constructor of another package has raised.

    The parser has put its own words on it.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    maker = _maker(error)
    return f"{maker}{described(error)}" if maker else ""


def _maker(error: BaseException) -> str:
    """Return whose constructor has raised an error, if one has."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        made = frame.f_locals.get("self")
        if frame.f_code.co_name == "__init__" and not type(made).__module__.startswith(_MAKERS):
            return f"{type(made).__name__} cannot be made: "
    return ""


def quieten() -> None:
    """Silence notices that tell the reader nothing about the experiment."""
    quiet.quiet_loggers(("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"))
    quiet.quiet_stores()
    quiet.ignore_warnings(
        # Lightning 2.6 uses what torch 2.15 deprecates.
        ".*LeafSpec.*",
        # Such a precision is refused.
        ".*AMP with fp16 is not supported on CPU",
        # Evaluating needs no checkpoint callback.
        "Be aware that when using `ckpt_path`",
        # What is evaluated and predicted with is the average, which a checkpoint keeps as its weights.
        "You're using the WeightAveraging callback, but loading a checkpoint",
        # It works without counting operations.
        "When using the `ThroughputMonitor`",
    )
    quiet.show_notices_plainly()
