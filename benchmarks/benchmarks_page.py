"""The page of benchmarks."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.reference import NOTE, table
from benchmarks.speed_section import operators_section, processor_line, speed_section
from benchmarks.tables import machine_line, ratios_table


def benchmarks_page(
    speed: dict[str, Any],
    operators: dict[str, Any],
    augmentation: dict[str, Any],
    tracking: dict[str, Any],
    digits: dict[str, Any],
    reading: dict[str, Any],
    page: dict[str, Any],
    *,
    live: str,
    checkpoints: str,
    probe: str,
    startup: str,
    sweeps: str,
    scale: str,
) -> str:
    """Return the page of ratios."""
    return f"""{NOTE}# Benchmarks

Each ratio is taken between arms that ran one after the other within the same repetition, in an order that rotates. The
tables give the median and the range over repetitions. Only ratios mean something here, because the machines are shared
and their speed drifts.

{processor_line(speed)}

{speed_section(speed)}
{operators_section(operators)}
## Augmentation

The same training with augmented images, against images as they are.

{ratios_table(augmentation, "python -m benchmarks.augmentation")}
## Tracking every step

The same training with the loss and rate of every step kept in a local MLflow store, against nothing tracked. Beside it
stands Lightning's own `MLFlowLogger` with `log_every_n_steps=1`, once waiting for the store and once without waiting
(`synchronous=False`). MiniCNN on 32×32 images:

{ratios_table(tracking, "python -m benchmarks.tracking")}
{_after(tracking)}
On the embedded digits, where a step takes two or three milliseconds:

{ratios_table(digits, "python -m benchmarks.tracking")}
{_after(digits)}
{live}
{checkpoints}
{probe}
{startup}
## Reading runs

The loss of every step of one hundred runs of 2,000 steps, from a local store into arrays, as `lossopt compare` reads
them, against one public call for each run:

{ratios_table(reading, "python -m benchmarks.reading")}
{_large(reading["large"])}
{_comparison_page(page)}{sweeps}{scale}"""


def checkpoints_section(checkpointing: dict[str, Any]) -> str:
    """Return the part on what saving costs."""
    disk = checkpointing["disk_seconds"]
    return f"""## Checkpoints

The same training with a checkpoint every 200 steps (serialised, hashed, forced to disk, renamed), against no
checkpoints. The second ratio is the share of processor time that does not go into checkpoints. Other work on the
machine does not change it. In addition there is the wait for the disk: forcing a file of this size to it took
{1000 * disk["median"]:.0f} ms (median), {1000 * disk["longest"]:.0f} ms (longest of twenty).

{ratios_table(checkpointing, "python -m benchmarks.checkpointing")}"""


def probe_section(probe: dict[str, Any]) -> str:
    """Return the part on what the probe loss costs."""
    whole = probe["whole_run"]
    return f"""## The probe loss

The same training with the loss of 256 training images measured at pairs of steps, against none. Each repetition is a
window of {probe["window_steps"]} steps at the beginning of a run of {probe["planned_steps"]:,}. Each has another seed
and probes at other steps ({min(probe["probes_in_windows"])} to {max(probe["probes_in_windows"])} in a window). Other
programs were running on the machine. So wall time tells little here, processor time more, and the share of a training's
processor time that does not go into the probe tells most. A probe takes the processor time of
{whole["steps_a_probe"]:.2f} steps (median), and a whole run has {whole["probes"]:.0f} of them, which is
{100 * whole["share"]:.1f} % of it.

{ratios_table(probe, "python -m benchmarks.probe")}"""


def sweeps_section(content: dict[str, Any]) -> str:
    """Return the part on sweeps: workers side by side, and what a trial costs beside its training."""
    seconds = content["overhead_seconds"]
    row = [f"**{statistics.median(seconds):.2f}**", f"{min(seconds):.2f} to {max(seconds):.2f}", str(len(seconds))]
    wanted = f"< {content['overhead_wanted']:g}"
    return f"""
## Sweeps

Equal trials of MiniCNN on 32×32 images ran two at once with one thread each. They are compared with the same trials
one after another with two threads: by one worker, from the start of the first to the end of the last, and typed, each
in a process that imports everything. How far two workers are ahead of one depends on how well two threads share one
training.

{ratios_table(content, "python -m benchmarks.sweep")}
The time of a trial on the embedded digits, without the seconds of training. Its evaluations are part of this time:

{table(["median seconds", "range", "trials", "wanted"], [[*row, wanted]])}"""


def _large(reading: dict[str, float]) -> str:
    return (
        f"{reading['runs']} runs of {reading['steps']:,} steps are read in {reading['seconds']:.1f} s, and take "
        f"{reading['mebibytes']:.0f} MiB of memory at most.\n"
    )


def _comparison_page(content: dict[str, Any]) -> str:
    size = f"{content['megabytes']:.1f} MB (limit 25)"
    memory = f"{content['peak_megabytes']:.0f} MB, of which {content['peak_megabytes_before']:.0f} before it is made"
    rows = [["making the page", f"{content['seconds']:.1f} s"], ["peak memory", memory], ["size of the page", size]]
    browser = content["browser"] or {}
    if browser:
        rows += [
            ["browser: until it is loaded", f"{browser['seconds_to_load']:.1f} s"],
            ["browser: until every figure is drawn", f"{browser['seconds_until_all_is_drawn']:.1f} s"],
            ["frames, scrolled at once after loading", _frames(browser["scrolled_at_once"])],
            ["frames, scrolled when every figure is drawn", _frames(browser["scrolled_when_drawn"])],
        ]
    return f"""## The page of a comparison

{content["runs"]} made-up runs of {content["steps"]:,} steps, with every loss in the page. It is scrolled from top to
bottom in a headless Chromium without a GPU, one screen in a quarter of a second. A frame takes 16.7 ms if nothing
holds it up.

{table(["", "measured"], rows)}
Command: `python -m benchmarks.page`

{machine_line(content["machine"])}"""


def _frames(found: dict[str, float]) -> str:
    usual, most, longest = (found[name] for name in ("median_ms", "p95_ms", "longest_ms"))
    return f"median {usual:.1f} ms, 95 % below {most:.1f} ms, longest {longest:.0f} ms"


def _after(content: dict[str, Any]) -> str:
    rows = [[arm, f"{statistics.median(seconds):.2f}"] for arm, seconds in content["seconds_after_training"].items()]
    return table(["arm", "median seconds after training, until the store holds everything"], rows)
