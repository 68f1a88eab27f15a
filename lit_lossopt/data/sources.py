"""What batches are gathered from.

Images lie in the host's memory, or as uint8 on the device that trains. From there a step copies nothing.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerStatus

from lit_lossopt.core.errors import UserError, one_line
from lit_lossopt.data.batches import LabelledImages, Source

Resident = Literal["auto"] | bool
# Of the device's free memory, what the images of a split may take by themselves.
LARGEST_SHARE = 0.5
_HOST = torch.device("cpu")


class _Placed(NamedTuple):
    data: LabelledImages
    device: torch.device
    source: Source


class Sources:
    """The images of each split, where training wants them.

    On a CPU they stay as they are.

    Args:
        resident: whether they lie on the device. ``auto`` means a GPU whose free memory is twice as large. Images that
            do not lie there are gathered in page-locked memory, from which a GPU copies beside its work.
    """

    def __init__(self, resident: Resident) -> None:
        self.resident = resident
        self._placed: dict[str, _Placed] = {}

    def of(self, split: str, data: LabelledImages, trainer: pl.Trainer | None) -> Source:
        """Return what batches of a split are gathered from.

        The images are copied once.

        Args:
            split: its name.
            data: its images.
            trainer: as far as it runs, its device is the one that counts.

        Raises:
            UserError: the images are to lie on the device and do not fit.
        """
        device = _device_of(trainer)
        placed = self._placed.get(split)
        if placed is None or placed.data is not data or placed.device != device:
            self._placed.pop(split, None)
            placed = self._placed[split] = _Placed(data, device, self._new(split, data, device))
        return placed.source

    def forget(self) -> None:
        """Give the device its memory back."""
        self._placed = {}

    def _new(self, split: str, data: LabelledImages, device: torch.device) -> Source:
        source = Source.of(data)
        on_host = source._replace(pinned=device.type == "cuda")
        if not (_is_roomy(source, device) if self.resident == "auto" else self.resident):
            return on_host
        try:
            return source.on(device)
        except torch.OutOfMemoryError as error:
            # Another program may have been quicker.
            if self.resident == "auto":
                return on_host
            raise UserError(
                f"data.resident=true: the {split} images take {source.nbytes / 2**20:.1f} MiB, and the device has not "
                f"so much free; leave data.resident out ({one_line(str(error), 120)})"
            ) from error


def fits(source: Source, free: int) -> bool:
    """Return whether images may lie on a device with so many bytes free.

    >>> images = Source(torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    >>> fits(images, 2 * 112), fits(images, 2 * 112 - 1)
    (True, False)
    """
    return source.nbytes <= LARGEST_SHARE * free


def _is_roomy(source: Source, device: torch.device) -> bool:
    return device.type == "cuda" and fits(source, torch.cuda.mem_get_info(device)[0])


def _device_of(trainer: pl.Trainer | None) -> torch.device:
    """Return the device of a trainer, once it runs.

    What is tried before lies on the host.
    """
    if trainer is None or trainer.state.status != TrainerStatus.RUNNING:
        return _HOST
    device: Any = trainer.strategy.root_device
    return torch.device(device)
