"""How ``lossopt compare`` grows with the number of runs: time, memory, bytes, and where the time goes.

Run: ``python -m benchmarks.scale``, or ``python -m benchmarks.scale FOLDER`` to measure another source tree beside this
one, as a checkout of an earlier state. One store (``benchmarks.scale_store``) grows up to 1,000 runs of 5,000 steps.
At each size ``compare --html --json`` runs in processes of its own, each tree in turn. Processor seconds are the figure
to look at, since other programs run on most machines.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, machine, write_json
from benchmarks.scale_store import ARMS, EXPERIMENT, SEEDS, STORE, fill, train_template
from lit_lossopt.core import names

# Number of runs → repetitions.
REPEATS, STEPS = {10: 3, 100: 3, 300: 3, 1000: 1}, 5000
SIZES = tuple(REPEATS)
HERE = Path(__file__).parent.parent
_PARTS = Path(__file__).parent / "scale_parts.py"
# Every step loss of the store, read in a process of its own.
_READ = """
import sys, time
from lit_lossopt.tracking.reading.runs import read_runs
begun = time.process_time()
runs = read_runs(sys.argv[1], metrics=[sys.argv[2]])
print(sum(len(run.histories[sys.argv[2]].steps) for run in runs), time.process_time() - begun)
"""


def main(before: str = "") -> None:
    """Measure, and write the part on comparisons of ``results/scale.json``."""
    assert SIZES[-1] <= ARMS * SEEDS
    trees = {"now": HERE, **({"before": Path(before).absolute()} if before else {})}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / STORE}", "MLFLOW_DISABLE_TELEMETRY": "true"}
        os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
        template = train_template(folder)
        filled = 0
        for size in SIZES:
            begun = time.process_time()
            fill(folder / STORE, template, filled, size, STEPS)
            seconds, filled = (time.process_time() - begun) / (size - filled), size
            store = _store(folder, REPEATS[size])
            row = {"runs": size, "arms": -(-size // SEEDS), "fill_seconds_each": seconds, **store}
            rows.append({**row, "trees": _compared(trees, folder, REPEATS[size])})
            print(json.dumps(rows[-1]), flush=True)
    content = {"machine": machine(), "load": os.getloadavg()[0], "steps": STEPS, "seeds": SEEDS, "sizes": rows}
    print(keep("compare", content))


def keep(part: str, content: dict[str, Any]) -> Path:
    """Write one part of ``results/scale.json``, and leave the others."""
    path = RESULTS / "scale.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return write_json("scale", {**known, part: content})


def _store(folder: Path, repeats: int) -> dict[str, Any]:
    """Return the size of the store, and how fast all step losses are read."""
    command = [sys.executable, "-c", _READ, EXPERIMENT, names.TRAIN_LOSS]
    found = [
        [float(word) for word in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]
        for _ in range(repeats)
    ]
    return {
        "store_bytes": (folder / STORE).stat().st_size,
        "losses": int(found[0][0]),
        "reading_seconds": statistics.median(seconds for _, seconds in found),
    }


def _compared(trees: dict[str, Path], folder: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Return what a comparison takes, by each tree. Trees take turns."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for repetition in range(repeats):
        for name in list(trees)[:: -1 if repetition % 2 else 1]:
            found[name].append(_once(trees[name], folder))
    return {name: _median(values) for name, values in found.items()}


def _once(tree: Path, folder: Path) -> dict[str, Any]:
    page, record, output = folder / "page.html", folder / "record.json", folder / "took.json"
    command = [sys.executable, str(_PARTS), str(page), str(record), str(output)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(tree)})
    took: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return {**took, "page_bytes": page.stat().st_size, "json_bytes": record.stat().st_size}


def _median(values: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each number, with the range of processor seconds."""
    parts = {part: statistics.median(one["parts"][part] for one in values) for part in values[0]["parts"]}
    seconds = [one["processor_seconds"] for one in values]
    medians = {name: statistics.median(one[name] for one in values) for name in values[0] if name != "parts"}
    return {**medians, "parts": parts, "range": [min(seconds), max(seconds)], "repeats": len(values)}


if __name__ == "__main__":
    main(*sys.argv[1:])
