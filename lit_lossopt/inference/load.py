"""A trained network from its run.

The data that it was trained on are not needed.

    from lit_lossopt import load

    model = load("RUN_ID")
    predicted = model(images)  # uint8 [N, C, H, W]

The network is built from the config that the checkpoint keeps. Lightning is not imported.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from lit_lossopt.config.from_python import setting_words
from lit_lossopt.core import names
from lit_lossopt.core.errors import Notice, UserError, one_line
from lit_lossopt.core.given import lent
from lit_lossopt.core.paths import given_path, is_file
from lit_lossopt.inference.classifier import TrainedClassifier
from lit_lossopt.inference.from_config import Sizes, network_and_loss
from lit_lossopt.inference.saved import Saved, read_saved
from lit_lossopt.training.checkpoint_file import previous_of

Which = Literal["best", "last"]


class HasRunId(Protocol):
    """A run, as ``lit_lossopt.fit`` returns it."""

    @property
    def run_id(self) -> str:
        """Its id in the tracking store."""


def load(
    run: str | os.PathLike[str] | HasRunId,
    which: Which = "best",
    *,
    network: Any = None,
    criterion: Any = None,
    allow: Sequence[str] = (),
    device: str | torch.device = "cpu",
) -> TrainedClassifier:
    """Return the trained network of a run.

    >>> load("missing.ckpt", which="worst")
    Traceback (most recent call last):
    lit_lossopt.core.errors.UserError: which=worst: take best or last

    Args:
        run: a run, its id in the tracking store, the beginning of one, a run's folder, a checkpoint, or a file that
            ``lossopt export`` wrote as ``.safetensors``.
        which: the weights with the best validation accuracy, or the last ones. A file is taken as it is.
        network: the object that the run was trained with, as ``lit_lossopt.fit`` took it. It gets the trained weights.
        criterion: the object that the run was trained with, as ``lit_lossopt.fit`` took it.
        allow: packages whose classes the config may name, beside torch's and this one.
        device: the device that the network goes to.

    Raises:
        UserError: there is no such run or file, it is damaged, or it names classes that are not allowed.
    """
    saved = find_saved(run if isinstance(run, str | os.PathLike) else run.run_id, which)
    if saved.note:
        warnings.warn(saved.note, Notice, stacklevel=2)
    with lent():
        parts = {name: part for name, part in (("network", network), ("criterion", criterion)) if part is not None}
        return built(replace(saved, config=_with(saved.config, parts)), allow, device)


def find_saved(run: str | os.PathLike[str], which: Which = "best") -> Saved:
    """Return the saved weights that ``load`` builds its network from.

    >>> find_saved("missing", which="worst")
    Traceback (most recent call last):
    lit_lossopt.core.errors.UserError: which=worst: take best or last

    Raises:
        UserError: there is no such run or file, or it is damaged.
    """
    if which not in ("best", "last"):
        raise UserError(f"which={which}: take best or last")
    path = given_path(run)
    if is_file(path):
        return read_saved(path)
    file = Path(f"{which}.ckpt")
    wanted = [file.name] if which == "best" else [file.name, previous_of(file).name]
    if path.is_dir():
        places = [path, path / names.CHECKPOINT_FOLDER, path / "artifacts" / names.CHECKPOINT_FOLDER]
        found = [place for place in places if any((place / name).is_file() for name in wanted)]
        return _read_of(str(run), found[0] if found else path, wanted)
    # The tracking store takes seconds to import, and a file needs none.
    from lit_lossopt.tracking.artifacts import checkpoint_folder

    with checkpoint_folder(str(run), wanted) as (run_id, folder):
        # A checkpoint may hold the name that the run's journal had before the store knew the run.
        return replace(_read_of(run_id, folder, wanted), run=run_id)


def _read_of(run: str, folder: Path, wanted: Sequence[str]) -> Saved:
    if not any((folder / name).is_file() for name in wanted):
        there = ", ".join(sorted(path.name for path in folder.glob("*.ckpt")))
        raise UserError(
            f"{run}: there is no {wanted[0]} in {folder}; {f'it holds {there}' if there else 'it holds no checkpoint'}"
        )
    return read_saved(folder / wanted[0])


def _with(config: Mapping[str, Any], parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a config that names the objects of this program in place of those that are gone.

    Raises:
        UserError: the run was trained with objects, and one of them is not given.
    """
    model = dict(config["model"])
    for name in ("network", "criterion"):
        key = (model[name].get("init_args") or {}).get("given") if isinstance(model[name], Mapping) else None
        if name in parts:
            model[name] = _chosen(name, parts[name])
        elif key:
            raise UserError(
                f"{key}: an object that a Python program has handed over, and no config can hold it; "
                f"load(run, {name}=…) takes it again"
            )
    return {**config, "model": model}


def _chosen(name: str, part: Any) -> dict[str, Any]:
    """Return what a config says of a class, or of an object in its place."""
    class_path, *given = (word.partition("=")[2] for word in setting_words({name: part}))
    return {"class_path": class_path, "init_args": {"given": given[0]} if given else {}}


def built(saved: Saved, allow: Sequence[str] = (), device: str | torch.device = "cpu") -> TrainedClassifier:
    """Return a network with the weights that were saved.

    Raises:
        UserError: the config names classes that are not allowed or do not exist, or the weights do not fit them.
    """
    sizes = Sizes(len(saved.scale), saved.image_size, len(saved.classes))
    network, loss = network_and_loss(saved.config, sizes, saved.path, allow)
    try:
        network.load_state_dict(saved.weights)
    except RuntimeError as error:
        raise UserError(f"{saved.path}: its weights do not fit its network ({one_line(str(error), 200)})") from error
    network.requires_grad_(requires_grad=False)
    network = network.to(memory_format=torch.channels_last).to(device).eval()
    return TrainedClassifier(network, saved, loss.contract)
