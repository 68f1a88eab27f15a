"""Whether images held out now were also held out when weights were trained.

If they were not, an evaluation would flatter the weights.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lit_lossopt.core.errors import UserError

# A setting that exists only where validation images are drawn.
_DRAWN = "data.val_fraction"
_TEST_DRAWN = "data.test_fraction"


def deciding_settings(command: str | None, settings: Collection[str], val_is_drawn: bool) -> set[str]:
    """Return the settings that decide which held-out images a command evaluates.

    >>> sorted(deciding_settings("test", ["seed_everything", "data.val_fraction", "data.test_fraction"], True))
    ['data.test_fraction', 'seed_everything']
    >>> deciding_settings("test", ["seed_everything", "data.val_fraction"], True)
    set()

    Args:
        command: ``fit``, ``validate``, ``test`` or ``predict``.
        settings: everything that decides about splits.
        val_is_drawn: whether the seed draws the validation images from the training images.
    """
    if command == "test" and _TEST_DRAWN in settings:
        return {"seed_everything", _TEST_DRAWN}
    if command == "validate" and not val_is_drawn:
        return set()
    return set(settings) if command in ("validate", "fit") else set()


def check_held_out(
    state: Mapping[str, Any], settings: Mapping[str, Any], deciding: Collection[str], pool: str | None
) -> None:
    """Raise UserError if weights may have seen their evaluation images.

    Args:
        state: what the data module has stored of itself beside the weights.
        settings: what decides now which images are held out, with its values as typed.
        deciding: those settings that the command depends on. It is empty where none of the command's images are drawn.
        pool: a name of the set of images that the seed splits now.

    Raises:
        UserError: other images were held out then, or they were drawn from a different set.
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
