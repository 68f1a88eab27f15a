"""The random numbers of a step.

Dropout is a function of seed, step and rank. What was drawn before does not matter.
"""

from __future__ import annotations

import torch

from lit_lossopt.core.seeds import derive_seed


def seed_dropout(seed: int, number: int, rank: int, device: torch.device) -> None:
    """Begin the random streams of a batch.

    Args:
        seed: of the run.
        number: of the batch since the run began, from 0.
        rank: of this process. The first draws as a single one does.
        device: that draws.
    """
    derived = derive_seed(seed, "step", number, *(("rank", rank) if rank else ()))
    # Not torch.manual_seed: without a GPU it queues a stack trace for each backend, at each call, for ever.
    torch.default_generator.manual_seed(derived)
    if device.type == "cuda":
        torch.cuda.manual_seed(derived)
