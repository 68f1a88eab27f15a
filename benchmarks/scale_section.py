"""The part of the page of benchmarks on growth: comparisons of many runs, and sweeps of many trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.reference import table

# The load of the last minute below which no other program can have taken part of a core for long.
_QUIET = 1.5


def scale_section(content: dict[str, Any], machine: Callable[[dict[str, Any]], str]) -> str:
    """Return the part on growth.

    Args:
        content: what ``benchmarks.scale`` and ``benchmarks.scale_sweep`` wrote.
        machine: puts a machine in words.
    """
    compared = _comparisons(content["compare"], machine) if "compare" in content else ""
    return f"\n## Growth\n{compared}{_sweeps(content['sweep'], machine) if 'sweep' in content else ''}"


def _comparisons(content: dict[str, Any], machine: Callable[[dict[str, Any]], str]) -> str:
    rows = content["sizes"]
    return f"""
`lossopt compare --html` on one store that grows. Its runs have {content["steps"]:,} steps and {content["seeds"]} seeds
an arm. One run was trained. The others are copies of it with settings, tags and made-up curves of their own, written by
the package's own bulk writer. Of two numbers in a cell, the second is the ratio to the row above. {_load(content)}
{content.get("note", "")}

{_growth(rows, "now")}
{_before(rows)}
Parts in processor seconds. Contrasts are all pairs of arms, so the statistics grow with the square of the number of
arms. Reading grows with the number of runs.

{_parts(rows)}
The step losses of the whole store, read in a process of its own:

{_reading(rows)}
Each number is the median of as many repetitions as the first table says. Command: `python -m benchmarks.scale`

{machine(content["machine"])}"""


def _growth(rows: Sequence[dict[str, Any]], tree: str) -> str:
    heads = [
        "runs",
        "arms",
        "repetitions",
        "processor seconds",
        "wall seconds",
        "peak MiB",
        "page MB",
        "JSON MB",
        "store MB",
    ]
    columns = [
        [row["trees"][tree]["processor_seconds"] for row in rows],
        [row["trees"][tree]["wall_seconds"] for row in rows],
        [row["trees"][tree]["peak_mebibytes"] for row in rows],
        [row["trees"][tree]["page_bytes"] / 1e6 for row in rows],
        [row["trees"][tree]["json_bytes"] / 1e6 for row in rows],
        [row["store_bytes"] / 1e6 for row in rows],
    ]
    first = [[f"{row['runs']:,}", f"{row['arms']:,}", str(row["trees"][tree]["repeats"])] for row in rows]
    return _with_ratios(heads, first, columns)


def _before(rows: Sequence[dict[str, Any]]) -> str:
    """Return what the same took before, if that was measured."""
    if "before" not in rows[-1]["trees"]:
        return ""
    return f"""The same before what grew too fast was mended:

{_growth(rows, "before")}"""


def _parts(rows: Sequence[dict[str, Any]]) -> str:
    parts = list(rows[-1]["trees"]["now"]["parts"])
    cells = [[f"{row['runs']:,}", *(f"{row['trees']['now']['parts'][part]:.2f}" for part in parts)] for row in rows]
    return table(["runs", *parts], cells)


def _reading(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        [f"{row['losses']:,}", f"{row['reading_seconds']:.2f}", f"{row['losses'] / row['reading_seconds']:,.0f}"]
        for row in rows
    ]
    return table(["points", "processor seconds", "points a second"], cells)


def _sweeps(content: dict[str, Any], machine: Callable[[dict[str, Any]], str]) -> str:
    rows = content["sizes"]
    known = {"now": "", "before": ", before"}
    trees = [tree for tree in known if tree in rows[-1]["trees"]]
    heads = ["trials", *(f"{what}{known[tree]}" for what in ("a trial", "second start", "dry run") for tree in trees)]
    columns = [
        *([1000 * row["trees"][tree]["each"]["mean_processor_seconds"] for row in rows] for tree in trees),
        *(
            [row["trees"][tree][part]["processor_seconds"] for row in rows]
            for part in ("second_start", "dry_run")
            for tree in trees
        ),
    ]
    shown = ["processor ms" if head.startswith("a trial") else "processor s" for head in heads[1:]]
    heads = ["trials", *(f"{head} ({unit})" for head, unit in zip(heads[1:], shown, strict=True))]
    return f"""
`lossopt sweep` on a grid of that many trials, of one step each. Most trials were not trained. They are copies of the
journal and the run of a real one. The last {content["real"]} of each size were trained. *A trial* is what the sweep's
own process takes for each of these, beside the process that trains. *Second start* is the same command when all trials
are done. It compares all runs and writes the page, as every start does at its end. {_load(content)}

{_with_ratios(heads, [[f"{row['trials']:,}"] for row in rows], columns)}
Command: `python -m benchmarks.scale_sweep`

{machine(content["machine"])}"""


def _with_ratios(heads: list[str], first: list[list[str]], columns: Sequence[Sequence[float]]) -> str:
    """Return a table whose cells have a value and its ratio to that of the row above."""
    cells = [list(row) for row in first]
    for column in columns:
        for place, value in enumerate(column):
            grown = f" (×{value / column[place - 1]:.1f})" if place and column[place - 1] else ""
            cells[place].append(f"{_shown(value)}{grown}")
    return table(heads, cells)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _load(content: dict[str, Any]) -> str:
    if content["load"] < _QUIET:
        return "Nothing else ran on the machine."
    return (
        f"**Other programs ran on the machine throughout** (load {content['load']:.0f} on "
        f"{content['machine']['cores']} cores), so that wall seconds say little. Processor seconds are the figure to "
        "look at."
    )
