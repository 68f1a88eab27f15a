"""What a file of trained weights says about them.

It is enough to use the weights without the data and without the command line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_lossopt.config.check import EXPORT_EXTRA
from lit_lossopt.core.class_paths import as_named_now
from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.core.names import CONFIG_KEY, RUN_KEY
from lit_lossopt.training.checkpoint_file import read_best_of

SAFETENSORS = ".safetensors"
_NETWORK = "network."
_DATA = {"scale", "shift", "image_size", "class_names"}
_METADATA = ("classes", "scale", "shift", "image_size", "config", "run", "step")


@dataclass(frozen=True)
class Saved:
    """Trained weights, and everything that is needed to use them.

    Attributes:
        weights: the network's tensors, by name.
        config: the run's resolved config, as plain values.
        classes: names of the K classes, in the order of their labels.
        scale: ``[C]`` float32. A pixel (0 … 255) enters the network as ``pixel * scale + shift``.
        shift: ``[C]`` float32.
        image_size: height and width of the images in pixels.
        run: id of the run, or empty.
        step: number of training steps behind the weights.
        path: the file.
        note: what was wrong with a newer file that could not be read. It is empty if nothing was.
    """

    weights: Mapping[str, Tensor]
    config: Mapping[str, Any]
    classes: tuple[str, ...]
    scale: Tensor
    shift: Tensor
    image_size: int
    run: str
    step: int
    path: Path
    note: str = ""


def read_saved(path: Path) -> Saved:
    """Return what a checkpoint or an exported ``.safetensors`` file holds.

    No code in it is run. If a checkpoint is missing or damaged, the one before it is read, if it was kept.

    >>> read_saved(Path("missing.safetensors"))
    Traceback (most recent call last):
    lit_lossopt.core.errors.UserError: missing.safetensors: ...

    Raises:
        UserError: the file is damaged, or does not say what it holds.
    """
    if path.suffix == SAFETENSORS:
        return _from_safetensors(path)
    content, used, problem = read_best_of(path, asked="")
    note = f"{problem}; the checkpoint before it is used" if problem else ""
    return replace(_from_checkpoint(content, used), note=note)


def metadata(saved: Saved) -> dict[str, str]:
    """Return all but the weights as JSON texts, for the metadata of an exported file.

    >>> one = torch.ones(1)
    >>> saved = Saved({}, {}, ("cat", "dog"), one, one, 8, run="", step=3, path=Path("last.ckpt"))
    >>> metadata(saved)["classes"], metadata(saved)["step"]
    ('["cat", "dog"]', '3')
    """
    values = {
        "classes": saved.classes,
        "scale": saved.scale.tolist(),
        "shift": saved.shift.tolist(),
        "image_size": saved.image_size,
        "config": saved.config,
        "run": saved.run,
        "step": saved.step,
    }
    return {name: json.dumps(value) for name, value in values.items()}


def _from_checkpoint(content: Mapping[str, Any], path: Path) -> Saved:
    config = content.get(CONFIG_KEY)
    if not config:
        raise UserError(
            f"{path}: it does not say which network it holds weights of (it was not made by lossopt fit); build the "
            "network in Python and load the checkpoint's state_dict"
        )
    data = next((part for part in content.values() if isinstance(part, dict) and part.keys() >= _DATA), None)
    if data is None:
        raise UserError(
            f"{path}: it lacks the classes, normalisation and image size that checkpoints hold since "
            "version 0.1; train one step from it (fit --ckpt_path) and take the new checkpoint"
        )
    state = content["state_dict"]
    return Saved(
        weights={name.removeprefix(_NETWORK): state[name] for name in state if name.startswith(_NETWORK)},
        config=json.loads(as_named_now(config)),
        classes=tuple(data["class_names"]),
        scale=data["scale"].flatten().float(),
        shift=data["shift"].flatten().float(),
        image_size=int(data["image_size"]),
        run=str(content.get(RUN_KEY) or ""),
        step=int(content["global_step"]),
        path=path,
    )


def _from_safetensors(path: Path) -> Saved:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise UserError(f"{path}: safetensors is not installed; {EXPORT_EXTRA}") from error
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
            texts = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a whole file of safetensors ({one_line(str(error), 100)})") from error
    missing = [name for name in _METADATA if name not in texts]
    if missing:
        raise UserError(
            f"{path}: its metadata lack {', '.join(missing)}; only files that lossopt export wrote can be loaded"
        )
    try:
        values = {name: json.loads(as_named_now(texts[name])) for name in _METADATA}
    except ValueError as error:
        raise UserError(
            f"{path}: its metadata are not JSON; only files that lossopt export wrote can be loaded"
        ) from error
    return Saved(
        weights=weights,
        config=values["config"],
        classes=tuple(values["classes"]),
        scale=torch.tensor(values["scale"], dtype=torch.float32),
        shift=torch.tensor(values["shift"], dtype=torch.float32),
        image_size=values["image_size"],
        run=values["run"],
        step=values["step"],
        path=path,
    )
