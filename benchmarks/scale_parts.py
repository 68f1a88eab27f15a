"""One ``lossopt compare``, with what each part of it took. For ``benchmarks.scale``, which runs it as a program.

Run: ``python benchmarks/scale_parts.py PAGE JSON OUTPUT``. The source tree that is measured is the one on PYTHONPATH.
So two states of the program are measured by the same file.
"""

import contextlib
import functools
import importlib
import io
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

# Part → where its functions are looked up when they are called.
PARTS = {
    "reading": [
        ("lit_lossopt.comparison.command", "find_runs"),
        ("lit_lossopt.comparison.grouping.histories", "with_histories"),
    ],
    "arms, measures": [
        ("lit_lossopt.comparison.pipeline", "judged"), ("lit_lossopt.comparison.pipeline", "group_runs"),
        ("lit_lossopt.comparison.pipeline", "measure_arms"),
    ],
    "statistics": [
        ("lit_lossopt.comparison.pipeline", "find_differences"), ("lit_lossopt.comparison.pipeline", "conclude"),
    ],
    "record": [("lit_lossopt.comparison.record.build", "record_of"), ("lit_lossopt.comparison.command", "as_tree")],
    "page": [("lit_lossopt.comparison.report.page", "write_page")],
    "JSON": [("lit_lossopt.comparison.command", "write_json")],
}  # fmt: skip


def main(page: str, record: str, output: str) -> None:
    """Compare the newest experiment, and write what that took."""
    spent = dict.fromkeys(PARTS, 0.0)
    started = time.perf_counter()
    for part, places in PARTS.items():
        for module, name in places:
            _time(module, name, part, spent)
    command = importlib.import_module("lit_lossopt.__main__").main
    with contextlib.redirect_stdout(io.StringIO()):
        status = command(["compare", "--html", page, "--json", record])
    assert status == 0
    result: dict[str, Any] = {
        "wall_seconds": time.perf_counter() - started,
        "processor_seconds": time.process_time(),
        "peak_mebibytes": _peak(),
        "parts": spent,
    }
    Path(output).write_text(json.dumps(result), encoding="utf-8")


def _time(module: str, name: str, part: str, spent: dict[str, float]) -> None:
    """Let a function add its processor seconds to those of its part."""
    place = importlib.import_module(module)
    function = getattr(place, name)

    @functools.wraps(function)
    def timed(*words: Any, **more: Any) -> Any:
        before = time.process_time()
        try:
            return function(*words, **more)
        finally:
            spent[part] += time.process_time() - before

    setattr(place, name, timed)


def _peak() -> float:
    """Return the largest memory in MiB, by the system's own count. That of ``resource`` begins with the parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    main(*sys.argv[1:])
