"""What the loss on a grid costs: seconds, memory, and against plain passes over the same images.

Run: ``python -m benchmarks.landscape``. Each case is a process of its own, with one thread.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

from benchmarks.harness import machine, write_json

POINTS = 51
# Name → height of the images in pixels, their channels, and how many.
CASES = {
    "digits, 8×8, 256 images": (8, 1, 256),
    "CIFAR-10, 32×32, 256 images": (32, 3, 256),
    "CIFAR-10, 32×32, 2,000 images": (32, 3, 2000),
}
_PASSES = 40


def measure(size: int, channels: int, images: int, points: int) -> dict[str, Any]:
    """Return what a grid of MiniCNN's loss takes in this process."""
    import torch

    from lit_lossopt.inference.from_config import LabelLoss
    from lit_lossopt.landscape.plane import random_plane
    from lit_lossopt.landscape.surface import LossSurface
    from lit_lossopt.networks import MiniCNN

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = MiniCNN(in_channels=channels, image_size=size).to(memory_format=torch.channels_last)
    pixels = torch.randn(images, channels, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (images,))
    parts = range(0, images, 64)
    batches = [(pixels[first : first + 64], labels[first : first + 64]) for first in parts]
    surface = LossSurface(network, LabelLoss(torch.nn.CrossEntropyLoss()), batches)
    plane = random_plane(network.state_dict(), surface.trained, seed=0)
    side = torch.linspace(-1, 1, points).double().numpy()
    surface.at(plane, 0.0, 0.0)
    started = time.process_time()
    with torch.no_grad():
        for _ in range(_PASSES):
            for images_of_batch, _labels in batches:
                network(images_of_batch)
    plain = (time.process_time() - started) / _PASSES
    started, wall = time.process_time(), time.monotonic()
    surface.grid(plane, side, side)
    processor = time.process_time() - started
    return {
        "processor_seconds": processor,
        "wall_seconds": time.monotonic() - wall,
        "plain_passes": points**2 * plain,
        "over_plain": processor / (points**2 * plain),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure every case, and write."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(*map(int, sys.argv[1:]))))
        return
    found = {}
    for name, (size, channels, images) in CASES.items():
        words = [sys.executable, "-m", "benchmarks.landscape", *map(str, (size, channels, images, POINTS))]
        found[name] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        print(name, found[name], flush=True)
    print(write_json("landscape", {"machine": machine(), "points": POINTS, "cases": found}))


if __name__ == "__main__":
    main()
