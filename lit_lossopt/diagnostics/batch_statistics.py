"""Running statistics of batch norms, computed anew for weights that were never trained with.

Schedule-Free optimizers evaluate other weights than they train. Their authors ask that statistics are computed anew
before an evaluation (facebookresearch/schedule_free, issue 60).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def norms_in_training(network: nn.Module) -> dict[str, _BatchNorm]:
    """Return the norms by name that gather statistics at present.

    Frozen ones, which evaluate while the rest trains, are not among them.
    """
    return {
        name: part
        for name, part in network.named_modules()
        if isinstance(part, _BatchNorm) and part.track_running_stats and part.training
    }


def recompute(network: nn.Module, norms: Sequence[_BatchNorm], batches: Iterable[Tensor]) -> None:
    """Give norms the statistics of these batches, each batch with equal weight.

    Everything else is in evaluation mode meanwhile, so that nothing is drawn.

    Args:
        network: in evaluation mode.
        norms: of the network.
        batches: images ``[N, C, H, W]`` as the network takes them.
    """
    given = list(batches)
    if not given:
        return
    with _gathering(norms), torch.no_grad():
        for images in given:
            network(images)


@contextmanager
def _gathering(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Let norms gather statistics from nothing on."""
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            # The mean over all batches, instead of one that forgets.
            norm.momentum = None
            norm.train()
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def statistics_of(norms: dict[str, _BatchNorm]) -> dict[str, Tensor]:
    """Return a copy of each running statistic, by the name of its norm and its own."""
    return {
        f"{name}.{which}": value.detach().clone()
        for name, norm in norms.items()
        for which, value in norm.named_buffers(recurse=False)
    }


def set_statistics(network: nn.Module, statistics: dict[str, Tensor]) -> None:
    """Put copies of running statistics back."""
    buffers = dict(network.named_buffers())
    with torch.no_grad():
        for name, value in statistics.items():
            buffers[name].copy_(value)
