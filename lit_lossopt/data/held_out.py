"""Whether held-out images were held out before.

They must have been when the weights were trained.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lit_lossopt.core.errors import UserError

# Decides which validation images are drawn; there where they are.
_DRAWN = "data.val_fraction"


def check_held_out(
    state: Mapping[str, Any], settings: Mapping[str, Any], deciding: Collection[str], pool: str | None
) -> None:
    """Refuse to evaluate weights on images of their training.

    Args:
        state: what the data module has said of itself beside the weights.
        settings: what decides now which images are held out, as typed.
        deciding: those of them that the command depends on; none of its images are drawn where it is empty.
        pool: what names the set of images that the seed splits now.

    Raises:
        UserError: other images were held out then, or drawn from others.
    """
    if _DRAWN in state["split"] and _DRAWN not in settings and deciding:
        raise UserError(
            "--ckpt_path: validation images were drawn from the training images when these weights were trained, and "
            "have a folder or file of their own now, so the training images are others; use the data of then, or train "
            "anew"
        )
    then = {name: value for name, value in state["split"].items() if name in deciding}
    if set(deciding) - then.keys():
        raise UserError(
            "--ckpt_path: these weights were trained where validation or test images had a folder or file of their "
            "own, and those drawn now may have been trained on; use the data of then, or train anew"
        )
    pools = {pool, state.get("pool")} - {None}
    if deciding and len(pools) > 1:
        raise UserError(
            "--ckpt_path: these are not the images of when these weights were trained (files were added, removed "
            "or renamed, or arrays changed), so some of those held out now were trained on; use the images of "
            "then, or train anew"
        )
    differing = [f"--{name}={value}" for name, value in then.items() if settings[name] != value]
    if differing:
        raise UserError(
            "--ckpt_path: other images were held out when these weights were trained, so some of those asked for "
            f"were trained on; add {' '.join(differing)}"
        )
