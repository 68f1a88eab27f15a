"""Fails where docs/reliability.md names a test that does not exist: part of ``make lint``."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from tests.support.places import TESTS

PAGE = TESTS.parent / "docs" / "reliability.md"


def missing(text: str) -> list[str]:
    """Return the tests that a page names and that are not there."""
    named = sorted(set(re.findall(r"(test_\w+\.py)::(test_\w+)", text)))
    return [f"{file}::{name}" for file, name in named if name not in _functions_named(file)]


def rows_without_tests(text: str) -> list[str]:
    """Return the first cells of table rows that name no test."""
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| fault", "| ---"))]
    return [row.split("|")[1].strip() for row in rows if "::test_" not in row]


def _functions_named(file: str) -> set[str]:
    """Return the names of the functions in the file of this name, whatever folder it lies in."""
    return set().union(*(functions(path) for path in TESTS.rglob(file)))


def functions(file: Path) -> set[str]:
    """Return the names of a file's functions, without importing it."""
    if not file.is_file():
        return set()
    return {node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def main() -> int:
    """Print what is missing; return 1 if anything is."""
    text = PAGE.read_text(encoding="utf-8")
    problems = [f"no such test: {name}" for name in missing(text)]
    problems += [f"no test for: {row}" for row in rows_without_tests(text)]
    for problem in problems:
        print(f"{PAGE.name}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
