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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import jsonargparse
import torch
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings
from torch import nn

from lit_lossopt.config.check import ALLOWED_IMPORTS, check_imports
from lit_lossopt.config.merge import Settings
from lit_lossopt.config.parser_messages import readable
from lit_lossopt.core import names
from lit_lossopt.core.errors import Notice, UserError, described, one_line
from lit_lossopt.core.paths import given_path, is_file
from lit_lossopt.inference.classifier import TrainedClassifier
from lit_lossopt.inference.saved import Saved, read_saved
from lit_lossopt.losses import LossContract, contract_of
from lit_lossopt.networks.mini_cnn import NetworkFactory, build_network
from lit_lossopt.networks.torchvision_network import weights_left_unread
from lit_lossopt.training.checkpoint_file import previous_of
from lit_lossopt.training.parser_types import register_types

Which = Literal["best", "last"]


def load(
    run: str | os.PathLike[str],
    which: Which = "best",
    *,
    allow: Sequence[str] = (),
    device: str | torch.device = "cpu",
) -> TrainedClassifier:
    """Return the trained network of a run.

    >>> load("missing.ckpt", which="worst")
    Traceback (most recent call last):
    lit_lossopt.core.errors.UserError: which=worst: take best or last

    Args:
        run: a run's id in the tracking store, the beginning of one, a run's folder, a checkpoint, or a file that
            ``lossopt export`` wrote as ``.safetensors``.
        which: the weights with the best validation accuracy, or the last ones. A file is taken as it is.
        allow: packages whose classes the config may name, beside torch's and this one.
        device: the device that the network goes to.

    Raises:
        UserError: there is no such run or file, it is damaged, or it names classes that are not allowed.
    """
    saved = find_saved(run, which)
    if saved.note:
        warnings.warn(saved.note, Notice, stacklevel=2)
    return built(saved, allow, device)


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


def built(saved: Saved, allow: Sequence[str] = (), device: str | torch.device = "cpu") -> TrainedClassifier:
    """Return a network with the weights that were saved.

    Raises:
        UserError: the config names classes that are not allowed or do not exist, or the weights do not fit them.
    """
    sizes = Sizes(len(saved.scale), saved.image_size, len(saved.classes))
    network, _, contract = network_and_loss(saved.config, sizes, saved.path, allow)
    try:
        network.load_state_dict(saved.weights)
    except RuntimeError as error:
        raise UserError(f"{saved.path}: its weights do not fit its network ({one_line(str(error), 200)})") from error
    network.requires_grad_(requires_grad=False)
    network = network.to(memory_format=torch.channels_last).to(device).eval()
    return TrainedClassifier(network, saved, contract)


class Sizes(NamedTuple):
    """What a network learns of its data.

    Attributes:
        in_channels: channels C of the images.
        image_size: their height and width in pixels.
        num_classes: number of classes K.
    """

    in_channels: int
    image_size: int
    num_classes: int


def network_and_loss(
    config: Mapping[str, Any], sizes: Sizes, path: Path, allow: Sequence[str] = ()
) -> tuple[nn.Module, nn.Module, LossContract]:
    """Return the untrained network of a run, its loss, and the contract of that loss.

    Args:
        config: the run's resolved config.
        sizes: those of its data.
        path: where the config was found, for messages.
        allow: packages whose classes the config may name, beside torch's and this one.

    Raises:
        UserError: the config names classes that are not allowed or do not exist.
    """
    chosen = {name: config["model"][name] for name in ("network", "criterion")}
    model = instantiated(
        {"model": chosen}, {"model.network": NetworkFactory, "model.criterion": nn.Module}, path, allow
    )
    criterion: nn.Module = model["model"]["criterion"]
    try:
        contract = contract_of(criterion)
        with torch.random.fork_rng(devices=[]), weights_left_unread():
            network = build_network(
                model["model"]["network"],
                in_channels=sizes.in_channels,
                image_size=sizes.image_size,
                num_outputs=contract.num_outputs(sizes.num_classes),
            )
    except Exception as error:  # a person's own class may raise anything
        raise UserError(f"{path}: its network cannot be built ({described(error)})") from error
    return network, criterion, contract


def instantiated(
    tree: dict[str, Any], types: Mapping[str, Any], path: Path, allow: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return what a config names, made as the command line makes it.

    Args:
        tree: the part of the config.
        types: key → the type that stands there.
        path: where the config was found, for messages.
        allow: packages whose classes the config may name, beside torch's and this one.

    Raises:
        UserError: it names classes that are not allowed or do not exist, or one of them cannot be made.
    """
    check_imports(tree, str(path), allow)
    register_types()
    parser = ArgumentParser(exit_on_error=False)
    for key, kind in types.items():
        parser.add_argument(f"--{key}", type=kind)
    try:
        with _imports_restricted_to([*ALLOWED_IMPORTS, *allow]):
            return cast("Mapping[str, Any]", parser.instantiate_classes(parser.parse_object(tree)))
    except (ArgumentError, ValueError, TypeError, ImportError) as error:
        raise UserError(readable(str(error), Settings(tree, {next(iter(tree)): str(path)}), {})) from error
    except Exception as error:
        raise UserError(f"{path}: what its config names cannot be made ({described(error)})") from error


@contextmanager
def _imports_restricted_to(allowed: Sequence[str]) -> Iterator[None]:
    """Let configs name classes of some packages only.

    The parser's settings belong to the whole process, so they are put back.
    """
    settings = jsonargparse._common.parsing_settings  # noqa: SLF001  # no public way back
    before = dict(settings)
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=list(allowed))
    try:
        yield
    finally:
        settings.update(before)
