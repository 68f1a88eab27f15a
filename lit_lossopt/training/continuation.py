"""How training goes on from a checkpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """

    step: int
    folder: Path
    logged: Mapping[str, int]
    changed: tuple[str, ...]
    weights_alone: bool
    begins_run: bool = False

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
    )


def continue_run(logger: RunLogger, run_id: str, how: Continuation, *, force: bool) -> bool:
    """Go on with the checkpoint's run, and return whether that can be.

    Otherwise say why, and begin a new one from it.

    Raises:
        UserError: the run is being trained by another process, or cannot be read.
    """
    run_id = final_id(Path(names.JOURNAL_FOLDER), run_id)
    differing = "; ".join(how.changed)
    states = {"optimizer and schedule": how.optimizer_afresh, "callbacks": how.callbacks_afresh}
    parts = [name for name, fresh in states.items() if fresh]
    afresh = f"; {', '.join(parts)} begin afresh" if parts else ""
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
    return [
        f"{key}: {old.get(key, 'not set')} → {new.get(key, 'not set')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _flat(value: Any, key: str = "") -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {key: json.dumps(value)}
    flat: dict[str, str] = {}
    for name, item in value.items():
        flat |= _flat(item, key if name == "init_args" else f"{key}.{name}".lstrip("."))
    return flat
