"""What a person is told when a signal stopped a command.

It is what was saved, at which step, and how to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lit_lossopt.config.words import without_flags
from lit_lossopt.core.given import holds_objects
from lit_lossopt.core.program import shown_path, typed

_RESUMING = ("ckpt_path", "resume")


def stopped_lines(words: Sequence[str], by: str, step: int, saved: tuple[int, Path] | None, resume: str) -> list[str]:
    """Return what to say of a training that was stopped.

    Args:
        words: of its command, the name first.
        by: what stopped it, as Ctrl-C.
        step: how many steps it had trained.
        saved: step and file of the last state, if there is one.
        resume: the word behind ``--resume``; with ``auto`` the command finds its file by itself.
    """
    if saved is None:
        return [f"stopped by {by} at step {step}; no state was saved, so the same command begins anew"]
    saved_step, file = saved
    behind = f"; steps from {saved_step + 1} on are trained again" if saved_step < step else ""
    command, *rest = words
    if holds_objects(words):
        how = ["go on with the same call, and also", f"  ckpt_path={shown_path(file)!r}"]
        how = ["the same call goes on"] if resume == "auto" else how
        return [
            f"stopped by {by} at step {step}",
            f"saved: step {saved_step}{behind}, in",
            f"  {shown_path(file)}",
            *how,
        ]
    again = rest if resume == "auto" else [*without_flags(rest, _RESUMING), "--ckpt_path", shown_path(file)]
    return [
        f"stopped by {by} at step {step}",
        f"saved: step {saved_step}{behind}, in",
        f"  {shown_path(file)}",
        "go on with:",
        f"  {typed([command, *again])}",
    ]


def stopped_line(command: str, by: str) -> str:
    """Return what to say of a command that keeps no state."""
    return f"{command} was stopped by {by}, and keeps no state; the same command begins anew"
