"""Steps per second of MiniCNN with augmented images, against the same images as they are.

Run: ``python -m benchmarks.augmentation``. Random 32×32 images, batch 64, one thread, through the Trainer.
"""

from __future__ import annotations

import sys
import warnings

import torch
from torchvision.transforms import v2

from benchmarks.harness import interleave, ratio, write
from benchmarks.throughput import BATCH, RandomImages, through_trainer
from lit_lossopt.data.augmentation import BatchTransform, ColorJitter, Cutout, HorizontalFlip, PadCrop
from lit_lossopt.data.mixing import CutMix
from lit_lossopt.training.library_messages import quieten

ARMS: dict[str, list[BatchTransform | v2.Transform]] = {
    "none": [],
    "PadCrop, HorizontalFlip": [PadCrop(), HorizontalFlip()],
    "PadCrop, HorizontalFlip, Cutout, ColorJitter, CutMix": [PadCrop(), HorizontalFlip(), Cutout(), ColorJitter()],
    "torchvision's RandomCrop and RandomHorizontalFlip, image by image": [
        v2.RandomCrop(32, padding=4),
        v2.RandomHorizontalFlip(),
    ],
}


def main(repeats: int = 7) -> None:
    """Measure, print and write ``results/augmentation.json``."""
    quieten()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    arms = {}
    for name, transforms in ARMS.items():
        mixing = CutMix() if "CutMix" in name else None
        data = RandomImages(batch_size=BATCH, validate_on_test=True, augmentation=transforms, mixing=mixing)
        data.setup("fit")
        arms[name] = lambda data=data: through_trainer(data)
    values = interleave(arms, repeats)
    wanted = {"PadCrop, HorizontalFlip": 0.9}
    ratios = [ratio(f"{name} / none", values[name], values["none"], wanted.get(name)) for name in list(ARMS)[1:]]
    for item in ratios:
        print(f"{item.name}: {item.median:.3f} [{item.low:.3f} to {item.high:.3f}], wanted at least {item.wanted}")
    print(write("augmentation", values, "steps per second, batch 64, one thread", ratios))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
