"""The part of the page of benchmarks on the speed of a training step."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.reference import table

# What the issue on speed asked for, as shares of the hand-tuned loop: image size, clock, arm.
WANTED = {
    (32, "processor", "ours, tracked"): 0.95,
    (32, "processor", "ours, tracked and diagnosed"): 0.93,
    (32, "wall", "ours, tracked and diagnosed"): 0.92,
    (8, "processor", "ours, tracked and diagnosed"): 0.75,
}
_TUNED, _PRODUCTS, _DIAGNOSED = "hand-tuned loop", "matrix products", "ours, tracked and diagnosed"


def processor_line(speed: Mapping[str, Any]) -> str:
    """Return the line that says on which processor the step was measured."""
    machine = speed["machine"]
    flags = ", ".join(speed["flags"]) or "no list of what it can do"
    return f"""Processor of the first two sections: **{machine["processor"]}** ({flags}), {machine["cores"]} cores.
Versions: torch {machine["torch"]}, lightning {machine["lightning"]}, Python {machine["python"]}. Other sections name
theirs."""


def speed_section(speed: Mapping[str, Any]) -> str:
    """Return the part on the arms, at each size of images and batches."""
    main = [point for point in speed["points"] if point["batch"] == 64]
    return f"""## Speed of a training step

MiniCNN with SGD and momentum on random images in memory. Each arm has a process of its own. *Textbook script*: a
DataLoader over PIL images, ToTensor, Normalize, NCHW, `loss.item()` at each step. *Plain loop*: float images in memory,
NCHW. *Hand-tuned loop*: channels last, pooled before the ReLU, normalised in place, freed memory kept. *Lightning
alone*: the hand-tuned loop's batches and network through a bare Trainer. *Ours*: `lossopt fit`, with nothing kept; with
every step tracked and checkpoints; and as it comes, with the probe loss and the default diagnostics too.

A number is the arm's steps a second as a multiple of the hand-tuned loop's, once a second of the processor time of the
training process and once a second of the wall clock. *Share of products*: the rate of the step's operations, over the
rate at which the same machine multiplies matrices of 1024 × 1024.

{"".join(_point(point) for point in main)}
Other sizes, ours tracked and diagnosed, and the hand-tuned loop:

{_all(speed["points"])}
Command: `python -m benchmarks.speed`
"""


def _point(point: Mapping[str, Any]) -> str:
    ratios = {one["name"]: one for one in point["ratios"]}
    rows = []
    for arm, windows in point["windows"].items():
        if arm == _PRODUCTS:
            continue
        per_step = statistics.median(1000 * one["processor"] / one["steps"] for one in windows)
        by_clock = ["1" if arm == _TUNED else _cell(point, ratios, arm, clock) for clock in ("processor", "wall")]
        rows.append([arm, *by_clock, _share(ratios[f"{arm}, operations"]), f"{per_step:.2f}"])
    heads = ["arm", "by processor time", "by the wall clock", "share of products", "processor ms a step"]
    threads = "one thread" if point["threads"] == 1 else f"{point['threads']} threads"
    count = len(point["windows"][_TUNED])
    return f"""### Images of {point["image_size"]} × {point["image_size"]}, batch {point["batch"]}, {threads}

{table(heads, rows)}
{count} repetitions, {point["steps"]} steps each.
{_beside(point)}

"""


def _beside(point: Mapping[str, Any]) -> str:
    windows = point["windows"][_DIAGNOSED]
    beside = statistics.median(one["beside"] / one["processor"] for one in windows)
    return (
        f"The process that works with the store took {100 * beside:.1f} % of the training's processor time in addition."
    )


def _cell(point: Mapping[str, Any], ratios: Mapping[str, Any], arm: str, clock: str) -> str:
    found = ratios[f"{arm}, {clock}"]
    wanted = WANTED.get((point["image_size"], clock, arm))
    return f"**{found['median']:.2f}** [{found['low']:.2f}, {found['high']:.2f}]" + (
        f", wanted ≥ {wanted}" if wanted else ""
    )


def _share(found: Mapping[str, Any]) -> str:
    return f"{found['median']:.2f}"


def _all(points: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for point in points:
        ratios = {one["name"]: one for one in point["ratios"]}
        rows.append([
            f"{point['image_size']} × {point['image_size']}", str(point["batch"]), str(point["threads"]),
            *(_cell({**point, "image_size": 0}, ratios, _DIAGNOSED, clock) for clock in ("processor", "wall")),
            _share(ratios[f"{_TUNED}, operations"]), _share(ratios[f"{_DIAGNOSED}, operations"]),
        ])  # fmt: skip
    heads = ["images", "batch", "threads", "by processor time", "by the wall clock", "hand-tuned: share", "ours: share"]
    return table(heads, rows)


def operators_section(found: Mapping[str, Any]) -> str:
    """Return the part on operators, on kept memory, and on what was tried."""
    parts = [_profile(found, batch) for batch in sorted({one["batch"] for one in found["profiles"]})]
    return f"""## Where a step's time goes

The hand-tuned loop on images of 32 × 32, one thread, by operator. *Given back*: the C library returns freed memory to
the system, as it does by itself, and the system hands it out again page by page, filled with zeros. *Kept*: the process
keeps it, as `fit` does. The milliseconds of the operators are the profiler's shares of the step's processor time.

{"".join(parts)}
What was tried to shorten the step, as multiples of the hand-tuned loop with kept memory, by processor time. What is
below 1 is slower. `torch.compile` does not count the time to compile, which the last column gives. Only kept memory is
in use by default. Fused optimizers differ in the last bits, and are asked for by `--model.optimizer.fused=true`.

{_variants(found["variants"])}
Command: `python -m benchmarks.operators`
"""


def _profile(found: Mapping[str, Any], batch: int) -> str:
    given, kept = (
        next(one for one in found["profiles"] if one["batch"] == batch and one["kept"] is how) for how in (False, True)
    )
    names = sorted({*given["groups"], *kept["groups"]}, key=lambda name: -given["groups"].get(name, 0))
    rows = [[name, *(f"{_scaled(one, name):.2f}" for one in (given, kept))] for name in names]
    rows.append(["**together**", *(f"**{one['milliseconds']:.2f}**" for one in (given, kept))])
    rows.append(["share of products", *(f"{one['share_of_products']:.2f}" for one in (given, kept))])
    rows.append(["pages from the system", *(f"{one['faults']:,.0f}" for one in (given, kept))])
    return f"Batch {batch}, milliseconds a step:\n\n{table(['operator', 'given back', 'kept'], rows)}\n"


def _scaled(profile: Mapping[str, Any], name: str) -> float:
    groups = profile["groups"]
    return float(groups.get(name, 0.0) / sum(groups.values()) * profile["milliseconds"])


def _variants(variants: Sequence[Mapping[str, Any]]) -> str:
    names = [one["name"] for one in variants[0]["ratios"]]
    rows = []
    for name in names:
        cells = []
        for variant in variants:
            ratio = next(one for one in variant["ratios"] if one["name"] == name)
            cells.append(f"**{ratio['median']:.2f}** [{ratio['low']:.2f}, {ratio['high']:.2f}]")
        rows.append([name, *cells, f"{variants[0]['first_seconds'][name]:.1f}"])
    heads = ["variant", *(f"batch {one['batch']}" for one in variants), "seconds of the first step"]
    return table(heads, rows)
