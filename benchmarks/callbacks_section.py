"""The tables of ``docs/callbacks.md``, rendered from ``results/lightning_callbacks.json``."""

from __future__ import annotations

from typing import Any

from benchmarks.reference import table


def callbacks_section(content: dict[str, Any]) -> str:
    """Return a table of those that work, and one of those that are refused."""
    works = [
        [f"`{row['words']}`", "yes" if row["same"] else f"**no**: {row['said']}"]
        for row in content["rows"]
        if not row["status"]
    ]
    refused = [[f"`{row['name']}`", _reason(row)] for row in content["rows"] if row["status"]]
    versions = f"Lightning {content['machine']['lightning']}, torch {content['machine']['torch']}"
    return f"""{table(["typed", "killed twice and resumed: the same to the bit"], works)}
{table(["refused", "why, and what to do"], refused)}
Command: `{content["command"]}` ({versions})."""


def _reason(row: dict[str, Any]) -> str:
    """Return what was said, from the reason on; of anything but one line before a run, that it was that."""
    if row["status"] != 2 or row["lines"] != 1 or row["a run was made"]:
        return f"**not in one line**: {row['said']}"
    return str(row["said"].partition(": ")[2].partition(": ")[2])
