"""Tables of the docs, rendered from the JSON that the benchmarks wrote. Run: ``make docs``."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench_section import bench_section
from benchmarks.branches_section import finetune_section, switch_section
from benchmarks.callbacks_section import callbacks_section
from benchmarks.claims_section import claims_section
from benchmarks.diagnostics_section import costs_section, edge_section, geometry_section
from benchmarks.foreign_section import foreign_section
from benchmarks.gpu_section import gpu_section
from benchmarks.harness import RESULTS
from benchmarks.importing_section import importing_section
from benchmarks.landscape_section import landscape_section
from benchmarks.live_section import live_section
from benchmarks.race_section import race_paragraph, race_section
from benchmarks.record_section import record_section
from benchmarks.reference import NOTE, between_marks, reference_page, table
from benchmarks.scale_section import scale_section
from benchmarks.speed_section import operators_section, processor_line, speed_section
from benchmarks.startup_section import startup_section
from benchmarks.study_section import sweep_study
from benchmarks.tensorflow_section import (
    chapter_section,
    check_section,
    explain_section,
    known_section,
    study_section,
)
from lit_lossopt.__main__ import COMMANDS

DOCS = Path(__file__).parent.parent / "docs"
# Two-sided 95 % quantiles of Student's t for 1 to 9 degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(DOCS / name)


def readme(text: str) -> str:
    """Return the README with its race and its table of commands."""
    commands = table(["command", "what it does"], [[f"`{name}`", command.line] for name, command in COMMANDS.items()])
    return between_marks(between_marks(text, "commands", commands), "race", race_paragraph(_load("race_digits")))


def measures_page(text: str) -> str:
    """Return the page of definitions with the simulations of false claims and power."""
    return between_marks(
        between_marks(text, "claims", claims_section(_load("claims"))), "race", race_section(_load("race"))
    )


def pages() -> dict[str, str]:
    """Return file name → text of every rendered page."""
    return {
        "results.md": results_page(
            _load("cifar10_jpeg"),
            _load("last_batch"),
            _load("losses_optimizers"),
            # Not before it was measured.
            "\n".join(
                section(_load(name))
                for name, section in (
                    ("sweep_cifar10_jpeg", sweep_study),
                    ("sweep_switch", switch_section),
                    ("sweep_finetune", finetune_section),
                )
                if (RESULTS / f"{name}.json").is_file()
            ),
        ),
        "losses_and_optimizers.md": reference_page()
        + (foreign_section(_load("foreign_classes")) if (RESULTS / "foreign_classes.json").is_file() else ""),
        "../README.md": readme((DOCS.parent / "README.md").read_text(encoding="utf-8")),
        "checking.md": between_marks((DOCS / "checking.md").read_text(encoding="utf-8"), "record", record_section()),
        "callbacks.md": between_marks(
            (DOCS / "callbacks.md").read_text(encoding="utf-8"),
            "callbacks",
            callbacks_section(_load("lightning_callbacks")),
        ),
        "diagnostics.md": diagnostics_page((DOCS / "diagnostics.md").read_text(encoding="utf-8")),
        "gpu.md": gpu_page((DOCS / "gpu.md").read_text(encoding="utf-8")),
        "importing.md": importing_page((DOCS / "importing.md").read_text(encoding="utf-8")),
        "landscape.md": landscape_page((DOCS / "landscape.md").read_text(encoding="utf-8")),
        "tensorflow.md": tensorflow_page((DOCS / "tensorflow.md").read_text(encoding="utf-8")),
        "performance.md": between_marks(
            (DOCS / "performance.md").read_text(encoding="utf-8"),
            "bench",
            # Not before it was measured.
            bench_section(_load("bench")) if (RESULTS / "bench.json").is_file() else "",
        ),
        "measures.md": between_marks(
            between_marks(
                (DOCS / "measures.md").read_text(encoding="utf-8"), "claims", claims_section(_load("claims"))
            ),
            "race",
            race_section(_load("race")),
        ),
        "benchmarks.md": benchmarks_page(
            *map(
                _load,
                ("speed", "operators", "augmentation", "tracking_32", "tracking_digits", "reading", "page"),
            ),
            # Not before they were measured.
            checkpoints=checkpoints_section(_load("checkpointing"))
            if (RESULTS / "checkpointing.json").is_file()
            else "",
            live=live_section(_load("live"), _ratios) if (RESULTS / "live.json").is_file() else "",
            probe=probe_section(_load("probe")) if (RESULTS / "probe.json").is_file() else "",
            startup=startup_section(_load("startup")) if (RESULTS / "startup.json").is_file() else "",
            sweeps=sweeps_section(_load("sweep")) if (RESULTS / "sweep.json").is_file() else "",
            scale=scale_section(_load("scale"), _machine) if (RESULTS / "scale.json").is_file() else "",
        ),
    }


def diagnostics_page(page: str) -> str:
    """Return the page on diagnostics, with what was measured of them."""
    costs = lambda found: costs_section(found, _ratios)  # noqa: E731  # beside the other two
    sections = {"edge": ("edge_of_stability", edge_section), "geometry": ("step_geometry", geometry_section)}
    for mark, (name, section) in {**sections, "costs": ("diagnostics", costs)}.items():
        # Not before it was measured.
        if (RESULTS / f"{name}.json").is_file():
            page = between_marks(page, mark, section(_load(name)))
    return page


def landscape_page(page: str) -> str:
    """Return the page on landscapes, with what a grid was measured to take."""
    # Not before it was measured.
    if not (RESULTS / "landscape.json").is_file():
        return page
    return between_marks(page, "landscape", landscape_section(_load("landscape")))


def gpu_page(page: str) -> str:
    """Return the page on GPUs, with what was measured on one."""
    # Not before it was measured.
    if not (RESULTS / "gpu.json").is_file():
        return page
    return between_marks(page, "gpu", gpu_section(_load("gpu")))


def importing_page(page: str) -> str:
    """Return the page on importing, with what it was measured to take."""
    # Not before it was measured.
    if not (RESULTS / "importing.json").is_file():
        return page
    return between_marks(page, "importing", importing_section(_load("importing"), _ratios))


def tensorflow_page(page: str) -> str:
    """Return the page on TensorFlow, with what was measured."""
    page = between_marks(page, "known", known_section())
    # Not before it was measured.
    if not all((RESULTS / f"{name}.json").is_file() for name in ("side_by_side", "frameworks")):
        return page
    found = _load("side_by_side")
    for name, section in (("chapter", chapter_section), ("check", check_section), ("explain", explain_section)):
        page = between_marks(page, name, section(found))
    return between_marks(page, "study", study_section(_load("frameworks"), found))


def results_page(study: dict[str, Any], last_batch: dict[str, Any], pairs: dict[str, Any], sweep: str) -> str:
    """Return the page on accuracy after each epoch, beside the plain loop's."""
    rows = [row for arm in study["arms"] for row in _arm_rows(arm)]
    accuracies = table(["config", "seeds", "", *(f"epoch {n}" for n in range(1, 6))], rows)
    kept, dropped = (_interval([run["accuracy"][1] for run in arm["runs"]]) for arm in last_batch["arms"])
    return f"""{NOTE}# Results on real images

**Data**: {study["data"]}. The images are CIFAR-10 after lossy JPEG compression, not the official archive.

Batch 64, no augmentation, one CPU thread, one fixed rate for each config. This checks that the program trains as a
hand-written loop does. It is **no comparison of optimizers**. For that, each needs its own rate, chosen with the same
budget, and more seeds.

Accuracy is given as the mean over seeds and its 95 % interval (Student's t). *Plain loop* is one run of a
hand-written PyTorch loop on the same images (seed 0), measured separately. *Difference* is lit_lossopt less the plain
loop, in points.

{accuracies}
`binary_bce` is cat against dog with one logit; chance is .500.

{sweep}
## Losses × optimizers, by the same yardsticks

The same images, three epochs, one seed. This shows whether everything trains, and is **not a comparison** (one seed,
rates not tuned). *nll*, *Brier* and *ece* are computed from the probabilities that each loss implies, floored at 1e-7
before a logarithm. Values of the losses themselves cannot be compared with each other.

{table(["loss", "optimizer", "lr", "accuracy", "nll", "Brier", "ece", "val/loss"], list(map(_pair_row, pairs["arms"])))}
## What a last, smaller batch does

50,000 images leave a last batch of 16 in each epoch. Its step has twice the gradient noise, just before the evaluation.
Plain SGD at rate 0.01, accuracy after the first epoch, the same seeds:

{table(["last batch of 16", "accuracy"], [["kept", kept], ["left out (`data.drop_last`, the default)", dropped]])}
Each epoch leaves different images out.

Command of a run: `{study["command"]}`

{_machine(study["machine"])}"""


def _pair_row(arm: dict[str, Any]) -> list[str]:
    values = [arm[name] for name in ("accuracy", "nll", "brier", "ece", "loss")]
    return [arm["criterion"], f"`{arm['optimizer']}`", arm["lr"], *("" if v is None else _share(v) for v in values)]


def _arm_rows(arm: dict[str, Any]) -> list[list[str]]:
    accuracies = [run["accuracy"] for run in arm["runs"]]
    seeds = ", ".join(str(run["seed"]) for run in arm["runs"])
    columns = [[accuracy[epoch] for accuracy in accuracies] for epoch in range(1, 6)]
    rows = [[f"`{arm['config']}`", seeds, "lit_lossopt", *map(_interval, columns)]]
    if arm["plain_loop"]:
        differences = [statistics.mean(c) - p for c, p in zip(columns, arm["plain_loop"], strict=True)]
        rows.append(["", "", "plain loop", *(_share(value) for value in arm["plain_loop"])])
        rows.append(["", "", "difference", *(f"{100 * value:+.1f}" for value in differences)])
    return rows


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

{_ratios(augmentation, "python -m benchmarks.augmentation")}
## Tracking every step

The same training with the loss and rate of every step kept in a local MLflow store, against nothing tracked. Beside it
stands Lightning's own `MLFlowLogger` with `log_every_n_steps=1`, once waiting for the store and once without waiting
(`synchronous=False`). MiniCNN on 32×32 images:

{_ratios(tracking, "python -m benchmarks.tracking")}
{_after(tracking)}
On the embedded digits, where a step takes two or three milliseconds:

{_ratios(digits, "python -m benchmarks.tracking")}
{_after(digits)}
{live}
{checkpoints}
{probe}
{startup}
## Reading runs

The loss of every step of one hundred runs of 2,000 steps, from a local store into arrays, as `lossopt compare` reads
them, against one public call for each run:

{_ratios(reading, "python -m benchmarks.reading")}
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

{_ratios(checkpointing, "python -m benchmarks.checkpointing")}"""


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

{_ratios(probe, "python -m benchmarks.probe")}"""


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

{_ratios(content, "python -m benchmarks.sweep")}
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

{_machine(content["machine"])}"""


def _frames(found: dict[str, float]) -> str:
    usual, most, longest = (found[name] for name in ("median_ms", "p95_ms", "longest_ms"))
    return f"median {usual:.1f} ms, 95 % below {most:.1f} ms, longest {longest:.0f} ms"


def _after(content: dict[str, Any]) -> str:
    rows = [[arm, f"{statistics.median(seconds):.2f}"] for arm, seconds in content["seconds_after_training"].items()]
    return table(["arm", "median seconds after training, until the store holds everything"], rows)


def _ratios(content: dict[str, Any], command: str) -> str:
    rows = [
        [
            r["name"],
            f"**{r['median']:.2f}**",
            f"{r['low']:.2f} to {r['high']:.2f}",
            str(r["repeats"]),
            f"≥ {r['wanted']}" if r["wanted"] else "",
        ]
        for r in content["ratios"]
    ]
    medians = [[arm, f"{value:.1f}"] for arm, value in content["medians"].items()]
    return f"""{table(["ratio", "median", "range", "repetitions", "wanted"], rows)}
{table(["arm", "median " + content["unit"]], medians)}
Command: `{command}`

{_machine(content["machine"])}"""


def _interval(values: Sequence[float]) -> str:
    mean = statistics.mean(values)
    if len(values) < 2:
        return _share(mean)
    half = T95[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{_share(mean)} ± {_share(half)}"


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _machine(machine: dict[str, Any]) -> str:
    parts = [f"{name} {value}" for name, value in machine.items() if name not in ("processor", "cores")]
    return f"Machine: {machine['processor']}, {machine['cores']} cores; {', '.join(parts)}.\n"


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
