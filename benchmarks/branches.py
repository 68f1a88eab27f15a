"""The sweeps ``sweep_switch`` and ``sweep_finetune``, compared: words and numbers into JSON, their curves as PNG.

Run both plans first, in one folder: ``lossopt sweep --config sweep_switch --config image_folder --data.folder=IMAGES``,
where IMAGES is CIFAR-10 as a JPEG copy in the layout of image folders. Then ``python -m benchmarks.branches``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.harness import write_json
from benchmarks.sweep_study import PICTURES, content
from lit_lossopt.comparison.flags import parse
from lit_lossopt.comparison.pipeline import compared
from lit_lossopt.comparison.report.paper_figures import write_figures
from lit_lossopt.core import names
from lit_lossopt.tracking.reading.runs import read_runs

PLANS = ("sweep_switch", "sweep_finetune")


def main() -> None:
    """Compare, write a file of results for each plan, and keep its curves."""
    for plan in PLANS:
        words = ["--experiment", plan, "--filter", f"tags.`{names.TAG_PHASE}` != '{names.ASIDE}'"]
        options = parse(words)
        runs = [run for run in read_runs(plan, options.filter, deleted=True) if names.TAG_PHASE in run.tags]
        found = compared(runs, options, title=plan)
        print(write_json(plan, content(found, runs)))
        with tempfile.TemporaryDirectory() as folder:
            for path in write_figures(found, Path(folder), formats=("png",)):
                if path.stem.startswith("metric"):
                    print(shutil.copy(path, PICTURES / f"{plan}.png"))


if __name__ == "__main__":
    main()
