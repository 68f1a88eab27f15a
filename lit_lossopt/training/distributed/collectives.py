"""What the processes of one training agree on.

There is one process for each device.

Each function is called by all ranks at the same moment. In a training of one process it returns what it was given.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, distributed
from torchmetrics.utilities.distributed import gather_all_tensors

T = TypeVar("T")
# What gloo and NCCL say, in many places, when a process at the other end is gone.
_LOST = ("gloo/", "Connection closed by peer", "Connection reset by peer", "recvValue failed", "Broken pipe")


def several() -> bool:
    """Return whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def from_first(value: T) -> T:
    """Return the first rank's value.

    It may be anything that can be pickled.
    """
    if not several():
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def highest(value: int) -> int:
    """Return the highest of all ranks' numbers.

    It is on the host, so that no device is waited for.
    """
    if not several():
        return value
    number = torch.tensor(value)
    distributed.all_reduce(number, op=distributed.ReduceOp.MAX)
    return int(number)


def mean(values: Tensor) -> Tensor:
    """Return the mean over ranks, element by element."""
    if not several():
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def gathered(rows: Tensor) -> Tensor:
    """Return the rows ``[N, …]`` of all ranks, rank after rank.

    Ranks may have different numbers of them.
    """
    return torch.cat(gather_all_tensors(rows.contiguous())) if several() else rows


def lost_another(error: BaseException) -> bool:
    """Return whether an error says that another rank has ended."""
    if not isinstance(error, RuntimeError) or not distributed.is_available():
        return False
    return isinstance(error, distributed.DistError) or (several() and any(words in str(error) for words in _LOST))
