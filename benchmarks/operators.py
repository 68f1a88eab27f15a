"""Where the time of a training step goes, by operator, and what was tried to shorten it.

Run: ``python -m benchmarks.operators``. MiniCNN on random images of CIFAR-10's size, batch 64 and 512, one thread. The
first part profiles the hand-tuned loop, once with memory as the C library handles it by itself and once with freed
memory kept, each in a process of its own. The second part measures variants of the step against it, in turns.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import machine, ratio, write_json
from benchmarks.speed_loops import (
    OPERATIONS_OF_PRODUCT,
    Batches,
    Clock,
    Point,
    matrix_products,
    preallocated_batches,
    tuned_batches,
)
from lit_lossopt.core.heap import keep_freed_memory
from lit_lossopt.networks.mini_cnn import MiniCNN

BATCHES = (64, 512)
STEPS = {64: 40, 512: 8}
# What an operator of torch is told as, by the beginning of its name.
GROUPS = {
    "aten::convolution_backward": "convolutions, backward",
    "aten::mkldnn_convolution": "convolutions, forward",
    "aten::max_pool2d_with_indices_backward": "pooling, backward",
    "aten::fill_": "filling with zeros, most of it for pooling, backward",
    "aten::zero_": "filling with zeros, most of it for pooling, backward",
    "aten::max_pool2d": "pooling, forward",
    "aten::threshold_backward": "ReLU, backward",
    "aten::clamp_min": "ReLU, forward",
    "aten::relu": "ReLU, forward",
    "aten::addmm": "linear layers, forward",
    "aten::mm": "linear layers, backward",
    "Optimizer": "optimizer",
    "aten::_foreach": "optimizer",
    "aten::add_": "optimizer",
    "aten::mul_": "optimizer",
    "aten::bernoulli_": "dropout",
    "aten::native_dropout": "dropout",
    "aten::_log_softmax": "loss",
    "aten::nll_loss": "loss",
    "aten::sub_": "normalisation",
    "aten::div_": "normalisation",
    "aten::_to_copy": "normalisation",
    "aten::copy_": "normalisation",
    "aten::index_select": "gathering the batch",
}
Step = Callable[[], None]


def main(repeats: int = 5) -> None:
    """Measure, print and write ``results/operators.json``."""
    content: dict[str, Any] = {"machine": machine(), "profiles": [], "variants": []}
    for batch in BATCHES:
        for kept in (False, True):
            content["profiles"].append(_apart(_profiled, batch, kept))
            print(content["profiles"][-1], flush=True)
    for batch in BATCHES:
        content["variants"].append(_compared(batch, repeats))
    print(write_json("operators", content))


def _apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _profiled(batch: int, kept: bool) -> dict[str, Any]:
    """Return milliseconds of processor time a step by group of operators."""
    torch.set_num_threads(1)
    if kept:
        keep_freed_memory()
    step, steps = plain_step(batch), STEPS[batch]
    for _ in range(10):
        step()
    clock = Clock()
    for _ in range(steps):
        step()
    window = clock.window(steps)
    products = matrix_products(Point(32, batch, 1, 0))
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            step()
    groups: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        groups[_group(event.key)] += event.self_cpu_time_total / 1000 / steps
    return {
        "batch": batch,
        "kept": kept,
        "milliseconds": 1000 * window.processor / steps,
        "faults": window.faults / steps,
        "share_of_products": _operations(batch) * steps / window.processor / _rate(products),
        "groups": dict(groups),
    }


def _rate(products: Any) -> float:
    return float(OPERATIONS_OF_PRODUCT * products.steps / products.processor)


def _operations(batch: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(MiniCNN()(torch.zeros(batch, 3, 32, 32)).sum())
    return int(counter.get_total_flops())


def _group(name: str) -> str:
    matching = [beginning for beginning in GROUPS if name.startswith(beginning)]
    return GROUPS[max(matching, key=len)] if matching else "everything else"


def plain_step(batch: int) -> Step:
    """Return the hand-tuned loop's step."""
    return _step(MiniCNN(), batch)


def _step(
    network: nn.Module,
    batch: int,
    *,
    serve: Callable[[Point], Batches] = tuned_batches,
    compiled: bool = False,
    bf16: bool = False,
    **optimizer: Any,
) -> Step:
    network = network.to(memory_format=torch.channels_last)
    made = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, **optimizer)
    point, criterion = Point(32, batch, 1, 0), nn.CrossEntropyLoss()
    batches = serve(point)

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = criterion(network(images), labels)
        return loss

    compute = torch.compile(loss_of) if compiled else loss_of

    def step() -> None:
        nonlocal batches
        found = next(batches, None)
        if found is None:
            batches = serve(point)
            found = next(batches)
        made.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = compute(*found)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        made.step()

    return step


class BlockedCNN(MiniCNN):
    """MiniCNN with the tensors of oneDNN's own layout between its convolutions and poolings."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        x = torch.relu(self.pool(self.conv1(images.to_mkldnn())))
        x = torch.relu(self.pool(self.conv2(x))).to_dense()
        logits: Tensor = self.linear2(self.dropout(torch.relu(self.linear1(x.flatten(1)))))
        return logits


class SlicedCNN(MiniCNN):
    """MiniCNN with the maximum of four strided slices in place of pooling."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        x = torch.relu(_sliced(self.conv1(images)))
        x = torch.relu(_sliced(self.conv2(x)))
        logits: Tensor = self.linear2(self.dropout(torch.relu(self.linear1(x.flatten(1)))))
        return logits


def _sliced(x: Tensor) -> Tensor:
    upper = torch.maximum(x[:, :, ::2, ::2], x[:, :, ::2, 1::2])
    return torch.maximum(upper, torch.maximum(x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]))


class FlushingDenormals:
    """A step in which the smallest numbers count as zero."""

    def __init__(self, batch: int) -> None:
        self.step = plain_step(batch)

    def __call__(self) -> None:
        """Make the step."""
        torch.set_flush_denormal(True)
        self.step()
        torch.set_flush_denormal(False)


VARIANTS: dict[str, Callable[[int], Step]] = {
    "as it is": plain_step,
    "fused optimizer": lambda batch: _step(MiniCNN(), batch, fused=True),
    "foreach optimizer": lambda batch: _step(MiniCNN(), batch, foreach=True),
    "preallocated batches": lambda batch: _step(MiniCNN(), batch, serve=preallocated_batches),
    "oneDNN's own layout": lambda batch: _step(BlockedCNN(), batch),
    "maximum of slices in place of pooling": lambda batch: _step(SlicedCNN(), batch),
    "smallest numbers as zero (flush_denormal)": FlushingDenormals,
    "torch.compile": lambda batch: _step(MiniCNN(), batch, compiled=True),
    "bf16 autocast": lambda batch: _step(MiniCNN(), batch, bf16=True),
}


def _compared(batch: int, repeats: int) -> dict[str, Any]:
    """Return the speed of each variant as a multiple of the step as it is."""
    torch.set_num_threads(1)
    keep_freed_memory()
    steps = {name: make(batch) for name, make in VARIANTS.items()}
    first = {}
    for name, step in steps.items():
        clock = Clock()
        step()
        first[name] = clock.window(1).wall
        for _ in range(2):
            step()
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(repeats):
        shift = repetition % len(steps)
        for name in [*steps][shift:] + [*steps][:shift]:
            # Slow ones take their time.
            count = STEPS[batch] if first[name] < 1 or name == "torch.compile" else 2
            clock = Clock()
            for _ in range(count):
                steps[name]()
            rates[name].append(count / clock.window(count).processor)
            print(f"  batch {batch}, {name}: {1000 / rates[name][-1]:.1f} ms", flush=True)
    return {
        "batch": batch,
        "ratios": [asdict(ratio(name, values, rates["as it is"])) for name, values in rates.items()],
        "first_seconds": first,
    }


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
