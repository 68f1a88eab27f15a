"""What ``lossopt lr-find`` is asked.

It is a training as ``fit`` takes it, made into a range test. Nothing heavy is imported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lit_lossopt.config.words import Prepared, check_begins_afresh, next_flag, prepare
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.flags import Flag

COMMAND = "lr-find"
LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 150
FEWEST_STEPS = 50
FLAGS = (
    Flag("--min-lr", "X", "the first rate of the test (1e-7)"),
    Flag("--max-lr", "X", "its last rate (10)"),
    Flag("--steps", "N", "steps in between, each at a higher rate by the same factor (150)"),
    Flag("--png", "FILE", "where the picture goes; the run keeps it in any case"),
)
# A range test takes its steps whatever a training's length is, and evaluates and keeps nothing.
_TRAINER: dict[str, Any] = {
    "max_epochs": -1,
    "min_epochs": None,
    "min_steps": None,
    "max_time": None,
    "limit_val_batches": 0,
    "num_sanity_val_steps": 0,
    "check_val_every_n_epoch": 1,
    "val_check_interval": 1.0,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "fast_dev_run": False,
    "callbacks": None,
}
# A schedule would be a second rate; what is frozen at first must bear the rate later.
_MODEL: dict[str, Any] = {"lr_scheduler": None, "lr_warmup": 0, "frozen_epochs": 0}


@dataclass(frozen=True)
class Request:
    """A range test.

    Attributes:
        prepared: the settings of ``fit``, without what a range test replaces.
        lowest: the first rate.
        highest: the last rate.
        steps: number of steps, each at a higher rate.
        png: where the picture goes besides the run's artifacts; empty: nowhere.
        words: that ``fit`` takes, as typed.
    """

    prepared: Prepared
    lowest: float
    highest: float
    steps: int
    png: str
    words: tuple[str, ...]


def read_request(words: Sequence[str]) -> Request:
    """Return what was typed behind ``lr-find``.

    It is checked as far as it can be without the libraries.

    Raises:
        UserError: something of it is wrong, or asks for a training that goes on.
    """
    own, theirs = _split(list(words))
    lowest = _number("min-lr", own.get("min-lr"), LOWEST)
    highest = _number("max-lr", own.get("max-lr"), HIGHEST)
    steps = _number("steps", own.get("steps"), STEPS)
    if not 0 < lowest < highest:
        raise UserError(f"--min-lr {lowest:g}, --max-lr {highest:g}: the first must be above 0 and below the second")
    if steps != int(steps) or steps < FEWEST_STEPS:
        raise UserError(
            f"--steps {steps:g}: must be a whole number of at least {FEWEST_STEPS}, because fewer "
            "steps do not show the noise"
        )
    prepared = prepare("fit", theirs)
    check_begins_afresh(prepared, f"{COMMAND}: a range test begins with the initial weights, not with a checkpoint")
    prepared = replace(_as_test(prepared, int(steps)), words=[COMMAND, *words])
    return Request(prepared, lowest, highest, int(steps), own.get("png", ""), tuple(theirs))


def _split(queue: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return this command's own flags, and the words for ``fit``."""
    own: dict[str, str] = {}
    theirs: list[str] = []
    while queue:
        before = list(queue)
        key, value = next_flag(queue)
        if key not in {flag.key for flag in FLAGS}:
            theirs += before[: len(before) - len(queue)]
        elif value is None:
            raise UserError(f"--{key}: a value is missing")
        else:
            own[key] = value
    return own, theirs


def _number(key: str, text: str | None, default: float) -> float:
    try:
        number = default if text is None else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"--{key} {text}: not a finite number")
    return number


def _as_test(prepared: Prepared, steps: int) -> Prepared:
    """Put a range test's settings in place of a training's.

    They change in what was merged, and in what is left to the parser.
    """
    tree = prepared.settings.tree
    tree["trainer"] = {**(tree.get("trainer") or {}), **_TRAINER, "max_steps": steps}
    tree["model"] = {**tree["model"], **_MODEL}
    replaced = {f"trainer.{name}" for name in (*_TRAINER, "max_steps")} | {f"model.{name}" for name in _MODEL}
    rest = [flag for flag in prepared.rest if ".".join(flag[0].rstrip("+").split(".")[:2]) not in replaced]
    return replace(prepared, rest=rest)
