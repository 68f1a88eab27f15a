"""Tables of the docs, rendered from the JSON that the benchmarks wrote. Run: ``make docs``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.bench_section import bench_section
from benchmarks.benchmarks_page import benchmarks_page, checkpoints_section, probe_section, sweeps_section
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
from benchmarks.precision import precision_section
from benchmarks.race_section import race_paragraph, race_section
from benchmarks.record_section import record_section
from benchmarks.reference import between_marks, reference_page, table
from benchmarks.results_page import results_page
from benchmarks.scale_section import scale_section
from benchmarks.startup_section import startup_section
from benchmarks.study_section import sweep_study
from benchmarks.tables import machine_line, ratios_table
from benchmarks.tensorflow_section import (
    chapter_section,
    check_section,
    explain_section,
    known_section,
    study_section,
)
from lit_lossopt.__main__ import COMMANDS

DOCS = Path(__file__).parent.parent / "docs"


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
        "performance.md": performance_page((DOCS / "performance.md").read_text(encoding="utf-8")),
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
            live=live_section(_load("live"), ratios_table) if (RESULTS / "live.json").is_file() else "",
            probe=probe_section(_load("probe")) if (RESULTS / "probe.json").is_file() else "",
            startup=startup_section(_load("startup")) if (RESULTS / "startup.json").is_file() else "",
            sweeps=sweeps_section(_load("sweep")) if (RESULTS / "sweep.json").is_file() else "",
            scale=scale_section(_load("scale"), machine_line) if (RESULTS / "scale.json").is_file() else "",
        ),
    }


def diagnostics_page(page: str) -> str:
    """Return the page on diagnostics, with what was measured of them."""
    costs = lambda found: costs_section(found, ratios_table)  # noqa: E731  # beside the other two
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


def performance_page(page: str) -> str:
    """Return the page on performance, with what ``bench`` found here, and what bf16 does to accuracy."""
    sections = {"bench": bench_section, "precision": precision_section}
    for name, section in sections.items():
        # Not before it was measured.
        if (RESULTS / f"{name}.json").is_file():
            page = between_marks(page, name, section(_load(name)))
    return page


def importing_page(page: str) -> str:
    """Return the page on importing, with what it was measured to take."""
    # Not before it was measured.
    if not (RESULTS / "importing.json").is_file():
        return page
    return between_marks(page, "importing", importing_section(_load("importing"), ratios_table))


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


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
