"""What a run's config names, made anew: its network, its loss, its data.

The config of a stranger's run names classes. Only those of allowed packages are imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jsonargparse
import torch
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings
from torch import Tensor, nn

from lit_lossopt.config.check import ALLOWED_IMPORTS, check_imports
from lit_lossopt.config.merge import Settings
from lit_lossopt.config.parser_messages import readable
from lit_lossopt.core.errors import UserError, described
from lit_lossopt.losses import LossContract, contract_of, loss_of
from lit_lossopt.networks.mini_cnn import NetworkFactory, build_network
from lit_lossopt.networks.pretrained_weights import weights_left_unread
from lit_lossopt.training.parser_types import register_types

if TYPE_CHECKING:
    from lit_lossopt.data import ImageDataModule


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


class LabelLoss(nn.Module):
    """A loss of outputs ``[N, M]`` and labels ``[N]``, whatever targets its criterion takes.

    >>> LabelLoss(nn.MSELoss())(torch.zeros(1, 4), torch.tensor([3]))
    tensor(0.2500)

    Args:
        criterion: a loss that is registered.

    Raises:
        ValueError: it is not.
    """

    def __init__(self, criterion: nn.Module) -> None:
        super().__init__()
        self.criterion = criterion
        self.contract: LossContract = contract_of(criterion)

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return the loss."""
        return loss_of(self.criterion, self.contract, outputs, labels)


def network_and_loss(
    config: Mapping[str, Any], sizes: Sizes, path: Path, allow: Sequence[str] = ()
) -> tuple[nn.Module, LabelLoss]:
    """Return the untrained network of a run, and its loss.

    Args:
        config: the run's resolved config.
        sizes: those of its data.
        path: where the config was found, for messages.
        allow: packages whose classes the config may name, beside torch's and this one.

    Raises:
        UserError: the config names classes that are not allowed or do not exist.
    """
    chosen = {name: config["model"][name] for name in ("network", "criterion")}
    model = _instantiated(
        {"model": chosen}, {"model.network": NetworkFactory, "model.criterion": nn.Module}, path, allow
    )
    try:
        loss = LabelLoss(model["model"]["criterion"])
        with torch.random.fork_rng(devices=[]), weights_left_unread():
            network = build_network(
                model["model"]["network"],
                in_channels=sizes.in_channels,
                image_size=sizes.image_size,
                num_outputs=loss.contract.num_outputs(sizes.num_classes),
            )
    except Exception as error:  # a person's own class may raise anything
        raise UserError(f"{path}: its network cannot be built ({described(error)})") from error
    return network, loss


def data_of(config: Mapping[str, Any], path: Path, allow: Sequence[str] = ()) -> ImageDataModule:
    """Return the data of a run, ready to be trained on.

    Args:
        config: the run's resolved config.
        path: where the config was found, for messages.
        allow: packages whose classes the config may name, beside torch's and this one.

    Raises:
        UserError: the config names classes that are not allowed or do not exist, or one of them cannot be made.
    """
    # It brings lightning in, and a network needs none.
    from lit_lossopt.data import ImageDataModule

    settings = {**config["data"], "init_args": {**config["data"].get("init_args", {})}}
    settings["init_args"]["seed"] = config["seed_everything"]
    made = _instantiated({"data": settings}, {"data": ImageDataModule}, path, allow)
    data: ImageDataModule = made["data"]
    data.prepare_data()
    data.setup("fit")
    return data


def _instantiated(
    tree: dict[str, Any], types: Mapping[str, Any], path: Path, allow: Sequence[str]
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
