"""Both frameworks step by step, and what makes the gaps between their defaults.

Run: ``python -m benchmarks.side_by_side`` with the extra ``tensorflow`` (about ten minutes). It calls the commands
that a person would type, and writes ``results/side_by_side.json``; ``make docs`` renders it.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import interleave, machine, ratio, write_json
from lit_lossopt.__main__ import main as lossopt

STEPS, GROWTH = 20, 200
EXPLAINED = ("adam", "rmsprop", "sgd_momentum")
BATCHES, REPEATS = 50, 7


def main() -> None:
    """Check, explain, measure, and write ``results/side_by_side.json``."""
    content = {
        # First, since double precision changes what TensorFlow fuses.
        "speed": _speed(),
        "machine": machine(),
        "steps": STEPS,
        "growth": GROWTH,
        "digits": _checked("digits", GROWTH),
        "colour": _checked("colour", STEPS),
        "explained": {config: _explained(config) for config in EXPLAINED},
        "zero_gradients": _not_zeroed(),
    }
    print(write_json("side_by_side", content))


def _checked(images: str, steps: int) -> list[dict[str, Any]]:
    """Return the differences of all pairs, without the numbers of every step."""
    tree = _written("twin", "--check", f"--images={images}", f"--steps={steps}")
    return [
        {
            **{name: gap[name] for name in ("loss", "optimizer", "column")},
            "first_loss": gap["losses"][0],
            "early": max(*gap["losses"][:STEPS], *gap["weights"][:STEPS]),
            "last": max(gap["losses"][-1], gap["weights"][-1]),
        }
        for gap in tree["gaps"]
    ]


def _explained(config: str) -> dict[str, Any]:
    return {
        name: _written("explain", f"--config={config}", "--config=digits", "--threads=1", *words)
        for name, words in (("all", []), ("weights carried over", ["--without=initialisation"]))
    }


def _written(command: str, *words: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbers.json"
        if lossopt([command, *words, f"--json={path}"]):
            raise SystemExit(f"{command} {' '.join(words)} failed")
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


def _not_zeroed() -> float:
    """Return how far the second gradient is off where torch's gradients are not set to zero."""
    import torch

    weight = torch.nn.Parameter(torch.ones(1))
    for _ in range(2):
        (3 * weight).sum().backward()  # type: ignore[no-untyped-call]  # torch
    assert weight.grad is not None
    return weight.grad.item() / 3


def _speed() -> dict[str, Any]:
    """Return the ratio of TensorFlow's step to torch's, in processor time, side by side."""
    values = interleave(_arms(), REPEATS)
    found = ratio("TensorFlow's step / torch's step, processor time", values["tensorflow"], values["pytorch"])
    return {"milliseconds": {name: statistics.median(own) for name, own in values.items()}, "ratio": vars(found)}


def _arms() -> dict[str, Callable[[], float]]:
    """Return what measures a step of each framework in milliseconds: MiniCNN, batches of 64, Adam, one thread."""
    import torch

    from lit_lossopt.keras_twin.framework import load_tensorflow, start_tensorflow

    load_tensorflow("benchmark")
    start_tensorflow(1)
    from lit_lossopt.keras_twin.engine import TwinEngine
    from lit_lossopt.losses import contract_of
    from lit_lossopt.networks.mini_cnn import MiniCNN

    torch.set_num_threads(1)
    network, criterion = MiniCNN().to(memory_format=torch.channels_last), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters())
    engine = TwinEngine(network, criterion, contract_of(criterion), optimizer, 32)
    images = torch.randn(64, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (64,))

    def in_torch() -> None:
        optimizer.zero_grad()
        criterion(network(images), labels).backward()
        optimizer.step()

    def in_tensorflow() -> None:
        engine.step(images, labels, 1e-3)

    return {"pytorch": lambda: _milliseconds(in_torch), "tensorflow": lambda: _milliseconds(in_tensorflow)}


def _milliseconds(step: Callable[[], None]) -> float:
    step()
    started = time.process_time()
    for _ in range(BATCHES):
        step()
    return 1000 * (time.process_time() - started) / BATCHES


if __name__ == "__main__":
    main()
