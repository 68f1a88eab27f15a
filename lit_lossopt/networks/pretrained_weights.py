"""Weights of another training, as a start.

A file of weights is fetched, read without running code from it, and loaded into all of a network but its head.
"""

from __future__ import annotations

import pickle
import re
import socket
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from lit_lossopt.core.errors import Notice, one_line

State = OrderedDict[str, Tensor]
TIME_LIMIT = 30.0
_MORE_THAN_WEIGHTS = re.compile(r"Unsupported global|unsupported class|unrecognized function")
# DenseNet's files are older than torch's rule that a module's name has no dot.
_LEFT_UNREAD: ContextVar[bool] = ContextVar("left_unread", default=False)
_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


@contextmanager
def weights_left_unread() -> Iterator[None]:
    """Build networks without reading their ``weights``.

    A checkpoint brings all of them.
    """
    token = _LEFT_UNREAD.set(True)
    try:
        yield
    finally:
        _LEFT_UNREAD.reset(token)


def are_read() -> bool:
    """Return whether ``weights`` are read, and not left to a checkpoint."""
    return not _LEFT_UNREAD.get()


def fetch_weights(url: str) -> Path:
    """Return the file of torchvision's weights.

    It is fetched into torch's own cache if it is not there. Its SHA-256 must begin as its name says.

    Raises:
        ValueError: it could not be fetched.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    digest = re.search(r"-([0-9a-f]{8,})\.", path.name)
    try:
        if path.is_file():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        warnings.warn(f"fetching {url}", Notice, stacklevel=2)
        with _time_limit(TIME_LIMIT):
            torch.hub.download_url_to_file(url, str(path), digest[1] if digest else None)
    except (OSError, RuntimeError, HTTPException) as error:
        raise ValueError(
            f"{url} could not be fetched ({one_line(str(error), 100)}); put that file into {path.parent}, or name "
            "a file at hand in place of torchvision's name"
        ) from error
    return path


def read_weights(path: Path) -> State:
    """Return name -> tensor from a file.

    The file is a state dict, or a checkpoint that holds one as ``state_dict`` or ``model``.

    Raises:
        ValueError: the file is damaged, would run code, or holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, OSError) as error:
        # torch's own message would advise to run the code in the file.
        if _MORE_THAN_WEIGHTS.search(str(error)):
            raise ValueError(
                f"{path} holds more than weights; load it where it was made and save the weights alone: "
                "torch.save(network.state_dict(), path)"
            ) from error
        reason = "not a file of torch.save" if isinstance(error, pickle.UnpicklingError) else str(error)
        raise ValueError(f"{path} is damaged ({one_line(reason, 100)}); take another file") from error
    for name in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    tensors = isinstance(content, dict) and all(isinstance(value, Tensor) for value in content.values())
    if not tensors or not content:
        raise ValueError(f"{path} holds no weights; save them with torch.save(network.state_dict(), path)")
    state: State = OrderedDict((_DENSE_LAYER.sub(r"\1\2", str(name)), value) for name, value in content.items())
    _set_versions(state, _versions(content))
    return state


def load_trained(network: nn.Module, state: Mapping[str, Tensor], image_size: int) -> None:
    """Load the weights that another training has left, but for those of the head.

    The head stays as it is, even if the other one has its size. Equal numbers of classes need not be equal classes.

    Args:
        network: gives its last layer as its attribute ``head``.
        state: the weights, as ``read_weights`` returns them, or those of a checkpoint.
        image_size: size of the images in pixels.

    Raises:
        ValueError: the network names no head, or the weights do not fit the rest of it.
    """
    head = getattr(network, "head", None)
    name = next((name for name, module in network.named_modules() if name and module is head), "")
    if not name:
        raise ValueError(f"{type(network).__name__} does not say which layer its head is; give it an attribute `head`")
    load_backbone(network, OrderedDict(state), f"{name}.", image_size)


def load_backbone(network: nn.Module, state: State, head: str, image_size: int) -> None:
    """Load everything but the head.

    Names may have a prefix, such as ``module.`` or that of a run's checkpoint.

    Args:
        network: one of torchvision's classifiers.
        state: the weights.
        head: the beginning of the names of the head's weights.
        image_size: size of the images in pixels, to which position embeddings are interpolated.

    Raises:
        ValueError: the weights are those of another network, or not finite.
    """
    state = _without_prefix(state, network)
    for name in list(state):
        # Parts that the network was built without, such as auxiliary classifiers, are None in it.
        if name.startswith(head) or getattr(network, name.partition(".")[0], network) is None:
            del state[name]
    try:
        if isinstance(network, VisionTransformer) and "encoder.pos_embedding" in state:
            state = interpolate_embeddings(image_size, network.patch_size, state)
        loaded = network.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError) as error:
        problem = next((line for line in str(error).splitlines() if "mismatch" in line), str(error))
        raise _misfit(network, one_line(problem, 200)) from error
    # Old files do not have the counts of batches that norms keep now.
    missing = [name for name in loaded.missing_keys if not name.startswith(head) and "num_batches" not in name]
    if missing or loaded.unexpected_keys:
        raise _misfit(network, _difference(missing, loaded.unexpected_keys))
    for name, value in state.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} holds values that are not finite; take other weights")


def _without_prefix(state: State, network: nn.Module) -> State:
    own = network.state_dict()
    first = next(iter(own))
    prefix = min((name.removesuffix(first) for name in state if f".{name}".endswith(f".{first}")), key=len, default="")
    mine = OrderedDict((name.removeprefix(prefix), value) for name, value in state.items() if name.startswith(prefix))
    _set_versions(mine, (None if prefix else _versions(state)) or _versions(own))
    return mine


def _versions(state: object) -> object:
    """Return which version of each layer wrote the tensors, as torch stores it."""
    return getattr(state, "_metadata", None)


def _set_versions(state: State, versions: object) -> None:
    state._metadata = versions  # type: ignore[attr-defined]  # noqa: SLF001  # as torch does itself


def _misfit(network: nn.Module, problem: str) -> ValueError:
    return ValueError(f"these are not weights of this {type(network).__name__}: {problem}")


def _difference(missing: list[str], unexpected: list[str]) -> str:
    parts = [f"{len(missing)} are missing, such as {missing[0]}"] if missing else []
    parts += [f"{len(unexpected)} have no place in it, such as {unexpected[0]}"] if unexpected else []
    return "; ".join(parts)


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Give up a connection on which nothing arrives.

    torch's own download would wait for ever.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
