"""What each epoch of training shows, and in which order.

Order, augmentation and mixing are functions of the seed and the epoch. They depend neither on what was served before
nor on the batch size, so that paired runs and resumed runs see the same images.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from lit_lossopt.core.seeds import derive_seed
from lit_lossopt.data.augmentation import Augmentation
from lit_lossopt.data.batches import Pass
from lit_lossopt.data.mixing import Mixing


def order_of_epoch(seed: int, epoch: int, count: int) -> Tensor:
    """Return the order ``[count]`` int64 of the training images in an epoch.

    >>> order_of_epoch(seed=0, epoch=1, count=5).sort().values
    tensor([0, 1, 2, 3, 4])
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    return torch.randperm(count, generator=generator)


def pass_of_epoch(seed: int, epoch: int, count: int, augmentation: Augmentation, mixing: Mixing | None) -> Pass:
    """Return an epoch's order, random numbers and partners."""
    order = order_of_epoch(seed, epoch, count)
    if not augmentation.transforms and not mixing:
        return Pass(order)
    numbers = torch.empty(count, 0)
    partners = None
    if augmentation.draws:
        generator = torch.Generator().manual_seed(derive_seed(seed, "augmentation", epoch))
        numbers = torch.rand(count, augmentation.draws, generator=generator)
    if mixing:
        mixed = mixing.numbers(derive_seed(seed, "mixing", epoch), count)
        numbers = torch.cat([numbers, mixed], dim=1)
        random = np.random.default_rng(derive_seed(seed, "partners", epoch))
        partners = torch.from_numpy(random.integers(0, count, count))
    # As integers they pass a trainer in half precision unrounded.
    return Pass(order, numbers.view(torch.int32), partners)


def batches_done(trainer: pl.Trainer | None) -> int:
    """Return the number of batches that an interrupted epoch was trained on."""
    if trainer is None or not trainer.fit_loop.restarting:
        return 0
    progress = trainer.fit_loop.epoch_loop.batch_progress
    if progress.is_last_batch:
        # The epoch was trained to its end, so the next one is to come.
        return 0
    done: Any = progress.current
    # A checkpoint saved in on_train_batch_end counts its own batch as processed, and not yet as completed.
    return int(done.completed + (done.ready == done.processed == done.completed + 1))
