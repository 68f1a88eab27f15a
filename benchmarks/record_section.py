"""What stands in the JSON of a comparison, as a table of its schema."""

from __future__ import annotations

from benchmarks.reference import table
from lit_lossopt.comparison.record.text import schema


def record_section() -> str:
    """Return a row for each key at the top."""
    properties = schema()["$defs"]["Record"]["properties"]
    return table(["key", "what it holds"], [[f"`{name}`", part["description"]] for name, part in properties.items()])
