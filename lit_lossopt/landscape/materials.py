"""The network, the loss and the images of a run, made anew from its config."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lit_lossopt.config.strict_yaml import load_config
from lit_lossopt.core import names
from lit_lossopt.core.class_paths import as_named_now
from lit_lossopt.core.errors import UserError
from lit_lossopt.diagnostics.looking import draw_examples
from lit_lossopt.diagnostics.trajectory import Weights
from lit_lossopt.inference.from_config import Sizes, data_of, network_and_loss
from lit_lossopt.inference.load import find_saved
from lit_lossopt.landscape.surface import LossSurface
from lit_lossopt.landscape.trajectory_files import trajectories
from lit_lossopt.tracking.artifacts import artifact_folder
from lit_lossopt.tracking.reading.runs import Run

PROBE_IMAGES = 256
# Settings of data that change no image.
_BESIDE = {"batch_size", "eval_batch_size", "augmentation", "mixing", "drop_last", "resident", "seed"}


def config_of(run_id: str) -> dict[str, Any]:
    """Return the resolved config of a run.

    Raises:
        UserError: it has none, or it cannot be read.
    """
    with artifact_folder(run_id, "", [names.CONFIG_ARTIFACT]) as (_, folder):
        path = folder / names.CONFIG_ARTIFACT
        if not path.is_file():
            raise UserError(f"landscape: the run {run_id} keeps no {path.name}, so its network cannot be made anew")
        config: dict[str, Any] = _with_paths_of_now(load_config(path, str(path)))
        return config


def loss_differs(one: Mapping[str, Any], two: Mapping[str, Any]) -> str:
    """Return how the losses of two runs differ, or an empty text if they are one loss of one set of images."""
    if one["model"]["criterion"] != two["model"]["criterion"]:
        return "were trained on different losses"
    return "" if _images_of(one) == _images_of(two) else "were trained on different images"


def last_weights(run: Run) -> tuple[dict[str, Any], Weights]:
    """Return the config of a run and its last weights: those of its checkpoint, or else of its last snapshot.

    Raises:
        UserError: it has neither.
    """
    with artifact_folder(run.run_id, names.CHECKPOINT_FOLDER, ["last.ckpt"]) as (_, folder):
        has_checkpoint = any(folder.glob("last*.ckpt"))
    # Trials of a sweep keep no checkpoints.
    with trajectories([] if has_checkpoint else [(run.name, run)]) as found:
        if found:
            return config_of(run.run_id), found[0].weights(-1)
    saved = find_saved(run.run_id, "last")
    return dict(saved.config), saved.weights


def same_images(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """Return whether the probe losses of two runs are of the same images."""
    keys = ("seed_everything", "probe")
    return _images_of(one) == _images_of(two) and all(one.get(key) == two.get(key) for key in keys)


def images_of(config: Mapping[str, Any]) -> int:
    """Return how many images a run's probe loss has, or the usual number if it has none."""
    return int((config.get("probe") or {}).get("images") or PROBE_IMAGES)


def surface_of(
    config: Mapping[str, Any], path: Path, images: int, allow: Sequence[str] = (), device: str = "cpu"
) -> LossSurface:
    """Return the loss of a run's network on its training images.

    Args:
        config: of the run.
        path: where it comes from, for messages.
        images: how many; they are drawn as those of the probe loss.
        allow: packages whose classes the config may name.
        device: where it is computed.

    Raises:
        UserError: data, network or loss cannot be made, or the loss has parameters of its own.
    """
    data = data_of(config, path, allow)
    sizes = Sizes(data.in_channels, data.image_size, data.num_classes)
    network, loss = network_and_loss(config, sizes, path, allow)
    if any(parameter.requires_grad for parameter in loss.parameters()):
        raise UserError(
            f"landscape: {type(loss.criterion).__name__} learns parameters of its own, so its surface moves while a "
            "network is trained. There is no map of it"
        )
    examples = draw_examples(data, images)
    parts = math.ceil(len(examples) / data.batch_size)
    pieces = zip(examples.images.tensor_split(parts), examples.labels.tensor_split(parts), strict=True)
    batches = [data.on_after_batch_transfer(piece, 0) for piece in pieces]
    network = network.to(memory_format=torch.channels_last)
    try:
        return LossSurface(network, loss, batches, data.seed, device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"landscape --device {device}: {str(error).splitlines()[0]}") from error


def _images_of(config: Mapping[str, Any]) -> Any:
    given = config["data"].get("init_args") or {}
    return config["data"]["class_path"], {name: value for name, value in given.items() if name not in _BESIDE}


def _with_paths_of_now(value: Any) -> Any:
    """Return a config in which every class has today's path."""
    if isinstance(value, dict):
        return {key: _with_paths_of_now(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_paths_of_now(one) for one in value]
    return as_named_now(value) if isinstance(value, str) else value
