"""How fast a training step is, from the tutorial's script to what the machine can multiply.

Run: ``make bench`` or ``python -m benchmarks.speed [REPEATS OTHERS [SIZE]]``. MiniCNN on random images of CIFAR-10's
size and of the digits' size, SGD with momentum. Each arm has a process of its own, which stays. All arms take turns
within a repetition, and the order rotates. A ratio is taken within a repetition.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, machine, ratio, write_json
from benchmarks.speed_loops import (
    OPERATIONS_OF_PRODUCT,
    Point,
    Window,
    hand_tuned_loop,
    matrix_products,
    plain_loop,
    textbook_script,
)
from lit_lossopt.core.machine import processor_flags

# The steps of a point take about four seconds by hand; those that targets are set for, longer.
POINTS = (
    Point(32, 64, 1, 250),
    Point(32, 64, 2, 250),
    Point(32, 32, 1, 150),
    Point(32, 128, 1, 50),
    Point(32, 256, 1, 25),
    Point(32, 512, 1, 15),
    Point(32, 512, 2, 25),
    Point(8, 64, 1, 1_000),
    Point(8, 64, 2, 1_000),
    Point(8, 32, 1, 1_000),
    Point(8, 512, 1, 150),
)
HAND_TUNED, PRODUCTS = "hand-tuned loop", "matrix products"
ARMS = (
    "textbook script",
    "plain loop",
    HAND_TUNED,
    "hand-tuned, fused optimizer",
    "Lightning alone",
    "ours, nothing kept",
    "ours, tracked",
    "ours, tracked and diagnosed",
    PRODUCTS,
)
_NOTABLE = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "bf16", "asimd", "sve")


def arms() -> dict[str, Callable[[Point], Window]]:
    """Return what is measured, by name."""
    from benchmarks.speed_trainer import as_it_comes, lightning_alone, tracked, untracked

    loops = (textbook_script, plain_loop, hand_tuned_loop, lambda point: hand_tuned_loop(point, fused=True))
    return dict(zip(ARMS, (*loops, lightning_alone, untracked, tracked, as_it_comes, matrix_products), strict=True))


def main(repeats: int = 5, repeats_of_others: int = 3, image_size: int = 0) -> None:
    """Measure, print and write ``results/speed.json``.

    Args:
        repeats: of the points that targets are set for.
        repeats_of_others: of the other points.
        image_size: measure only points of this size, and keep the others that this machine has measured. 0: all.
    """
    found = _kept(image_size) if image_size else []
    with tempfile.TemporaryDirectory() as folder, _workers(Path(folder)) as workers:
        for point in (one for one in POINTS if image_size in (0, one.image_size)):
            count = repeats if (point.batch, point.steps) in ((64, 250), (64, 1_000)) else repeats_of_others
            found.append(_measured(point, workers, count))
            write_json("speed", {"machine": machine(), "flags": _flags(), "points": found})
    print("results/speed.json")


def _kept(image_size: int) -> list[dict[str, Any]]:
    content = json.loads((RESULTS / "speed.json").read_text(encoding="utf-8"))
    if content["machine"] != machine():
        raise SystemExit("results/speed.json is of another machine or other versions; measure all points")
    return [point for point in content["points"] if point["image_size"] != image_size]


def _measured(point: Point, workers: dict[str, Connection], repeats: int) -> dict[str, Any]:
    windows: dict[str, list[Window]] = {arm: [] for arm in workers}
    names, operations = list(workers), _operations(point)
    for repetition in range(repeats):
        shift = repetition % len(names)
        for arm in names[shift:] + names[:shift]:
            workers[arm].send(point)
            answer = workers[arm].recv()
            if isinstance(answer, str):
                raise RuntimeError(answer)  # noqa: TRY004  # it is what went wrong there
            windows[arm].append(answer)
            print(f"  {point.name} {arm}: {1000 * answer.wall / answer.steps:.2f} ms", flush=True)
    return {
        **asdict(point),
        "windows": {arm: [asdict(one) for one in several] for arm, several in windows.items()},
        "ratios": [asdict(one) for one in _ratios(windows, operations)],
        "operations": operations,
    }


def _ratios(windows: dict[str, list[Window]], operations: int) -> Iterator[Any]:
    """Yield the speed of each arm as a multiple of the hand-tuned loop's, by either clock."""
    for clock in ("processor", "wall"):
        rates = {arm: [one.steps / getattr(one, clock) for one in several] for arm, several in windows.items()}
        for arm, values in rates.items():
            if arm not in (HAND_TUNED, PRODUCTS):
                yield ratio(f"{arm}, {clock}", values, rates[HAND_TUNED])
    for arm, several in windows.items():
        if arm != PRODUCTS:
            mine = [operations * one.steps / one.processor for one in several]
            most = [OPERATIONS_OF_PRODUCT * one.steps / one.processor for one in windows[PRODUCTS]]
            yield ratio(f"{arm}, operations", mine, most)


def _operations(point: Point) -> int:
    """Return the floating-point operations of the products in one step, forward and backward."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from lit_lossopt.networks.mini_cnn import MiniCNN

    channels = 3 if point.image_size == 32 else 1
    with FlopCounterMode(display=False) as counter:
        MiniCNN(channels, point.image_size)(
            torch.zeros(point.batch, channels, *[point.image_size] * 2)
        ).sum().backward()
    return int(counter.get_total_flops())


def _flags() -> list[str]:
    return sorted(processor_flags() & set(_NOTABLE))


@contextmanager
def _workers(folder: Path) -> Iterator[dict[str, Connection]]:
    """Start one process for each arm, each in a folder of its own."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for number, arm in enumerate(ARMS):
        own = folder / str(number)
        own.mkdir()
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(arm, own, theirs), daemon=False)
        process.start()
        pipes[arm] = ours
        processes.append(process)
    try:
        yield pipes
    finally:
        for pipe in pipes.values():
            pipe.send(None)
        for process in processes:
            process.join()


def _work(arm: str, folder: Path, pipe: Connection) -> None:
    """Measure what is asked for, until nothing more is."""
    os.chdir(folder)
    os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
    import warnings

    import torch

    warnings.filterwarnings("ignore")
    sys.stdout = (folder / "output.txt").open("a")
    measure = arms()[arm]
    while (point := pipe.recv()) is not None:
        torch.set_num_threads(point.threads)
        try:
            pipe.send(measure(point))
        except Exception:  # noqa: BLE001  # whatever it is, the other process says it
            pipe.send(traceback.format_exc())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
