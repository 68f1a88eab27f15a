"""How training goes on from a checkpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_lossopt.config.branch import BRANCH
from lit_lossopt.config.description import relevant_settings
from lit_lossopt.core import names
from lit_lossopt.core.class_paths import as_named_now
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.redaction import redact_leaves
from lit_lossopt.core.terminal_text import tell
from lit_lossopt.tracking.logger import RunLogger
from lit_lossopt.tracking.run_journals import final_id

# The rule of another framework remembers other things.
_OF_FRAMEWORK = "twin.rule"
_OF_OPTIMIZER = ("model.optimizer", "model.lr_", "model.decay_biases", "model.backbone_lr_factor", _OF_FRAMEWORK)


@dataclass(frozen=True)
class Continuation:
    """How training goes on from a checkpoint.

    It is handed to all that must know of it, and never changed.

    Attributes:
        step: after how many steps the checkpoint was saved.
        folder: where the checkpoint lies.
        logged: metric → number of points that the run had logged by then.
        changed: what differs between the settings of then and of now and can change a result, as ``key: old → new``.
        weights_alone: whether the checkpoint holds no state of an optimizer.
        begins_run: whether the weights begin a run of their own.
        trunk: of a branch, what was trained before it, in words.
        branches: whether a branch begins here. It is a run of its own that goes on with all that the checkpoint holds.
    """

    step: int
    folder: Path
    logged: Mapping[str, int]
    changed: tuple[str, ...]
    weights_alone: bool
    begins_run: bool = False
    trunk: str = ""
    branches: bool = False

    @property
    def callbacks_afresh(self) -> bool:
        """Whether a person's own callbacks begin afresh.

        Their states hold the settings of then, which would win over those of now.
        """
        return any(change.startswith("trainer.callbacks") for change in self.changed)

    @property
    def optimizer_afresh(self) -> bool:
        """Whether optimizer and schedule begin afresh.

        Their states hold the settings of then, which would win over those of now.
        """
        return self.weights_alone or any(change.startswith(_OF_OPTIMIZER) for change in self.changed)

    @property
    def afresh(self) -> str:
        """What begins afresh, in words that follow others."""
        states = {"optimizer and schedule": self.optimizer_afresh, "callbacks": self.callbacks_afresh}
        parts = [name for name, fresh in states.items() if fresh]
        return f"; {', '.join(parts)} begin afresh" if parts else ""


def continuation_of(checkpoint: Mapping[str, Any], path: Path, now: Mapping[str, Any]) -> Continuation:
    """Return how training goes on from a checkpoint.

    Args:
        checkpoint: its content.
        path: its file.
        now: the resolved config of now.
    """
    # Of checkpoints from elsewhere it is not known under which settings they were saved.
    then = checkpoint.get(names.CONFIG_KEY, "")
    return Continuation(
        step=int(checkpoint["global_step"]),
        folder=path.parent,
        logged=checkpoint.get(names.LOGGED_KEY, {}),
        changed=tuple(changed_settings(then, now)) if then else (),
        weights_alone="optimizer_states" not in checkpoint,
        trunk=checkpoint.get(names.TRUNK_KEY, ""),
    )


def branch_off(logger: RunLogger | None, run_id: str, how: Continuation) -> None:
    """Say that a new run branches off another one, and let its record say so, too."""
    differing = "; ".join(how.changed) or "nothing has changed, so it repeats that run from there"
    tell(f"a new run branches off run {run_id} behind step {how.step}: {differing}{how.afresh}", sys.stdout)
    if logger and run_id:
        logger.branch_off(run_id, how.step)


def continue_run(logger: RunLogger, run_id: str, how: Continuation, *, force: bool) -> bool:
    """Go on with the checkpoint's run, and return whether that can be.

    Otherwise say why, and begin a new one from it.

    Raises:
        UserError: the run is being trained by another process, or cannot be read.
    """
    run_id = final_id(Path(names.JOURNAL_FOLDER), run_id)
    differing = "; ".join(how.changed)
    afresh = how.afresh
    if how.weights_alone:
        why = "the checkpoint holds weights alone" + (f", and settings have changed: {differing}" if differing else "")
    else:
        why = f"settings have changed (--resume force goes on with that run): {differing}"
    if how.weights_alone or (differing and not force):
        tell(f"a new run begins from the checkpoint of run {run_id}, because {why}{afresh}", sys.stdout)
        logger.begin_from(run_id)
        return False
    if any(change.startswith(_OF_FRAMEWORK) for change in how.changed):
        raise UserError(
            f"--resume force: run {run_id} was trained by another rule or framework ({differing}), and a run has one; "
            "leave --resume out, and a new run begins from the checkpoint"
        )
    if differing:
        tell(f"settings have changed since: {differing}{afresh}", sys.stdout)
    attempt = logger.resume(run_id, how.logged)
    print(f"run {logger.version} goes on at step {how.step}, attempt {attempt}", flush=True)
    return True


def changed_settings(then: str, now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two configs.

    One is that of a checkpoint (JSON), the other that of now. A difference reads ``key: old → new``.
    """
    # The configuration stored then contains no passwords.
    shown = redact_leaves(now)
    old, new = _flat(relevant_settings(json.loads(as_named_now(then)))), _flat(relevant_settings(shown))
    # Of a class that has changed, its arguments say nothing more.
    whole = {key.removesuffix("class_path") for key in old.keys() | new.keys() if _is_other_class(key, old, new)}
    return [
        f"{key}: {old.get(key, 'not set')} → {new.get(key, 'not set')}"
        for key in sorted(old.keys() | new.keys())
        if key != BRANCH and old.get(key) != new.get(key) and (key.endswith(".class_path") or not _below(key, whole))
    ]


def _is_other_class(key: str, old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    return key.endswith(".class_path") and old.get(key) != new.get(key)


def _below(key: str, groups: Collection[str]) -> bool:
    return any(key.startswith(group) for group in groups)


def _flat(value: Any, key: str = "") -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {key: json.dumps(value)}
    flat: dict[str, str] = {}
    for name, item in value.items():
        flat |= _flat(item, key if name == "init_args" else f"{key}.{name}".lstrip("."))
    return flat
