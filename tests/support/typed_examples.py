"""Fails where a program of the documentation has a wrong type: part of ``make lint``.

These are the blocks of Python of README.md and docs/python.md, and the cells of the notebook. Each page is one program.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mypy import api

from tests.support.places import ROOT

_SHARED = (f"--cache-dir={ROOT / '.mypy_cache'}",)
PAGES = ("README.md", "docs/python.md", "examples/exercise.ipynb")
# What a person writes there is no library: its functions need no annotations.
_LESS_STRICT = '# mypy: disable-error-code="no-untyped-def,no-untyped-call"'


def program_of(page: Path) -> str:
    """Return the programs of a page as one. Each line of a page of text keeps its number."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        return "\n\n".join([_LESS_STRICT, *("".join(cell["source"]) for cell in cells)])
    lines = [_LESS_STRICT, *[""] * (text.count("\n") - 1)]
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first = text[: block.start(1)].count("\n")
        own = block[1].splitlines()
        lines[first : first + len(own)] = own
    return "\n".join([*lines, ""])


def problems(programs: dict[str, str], options: Sequence[str] = _SHARED) -> list[str]:
    """Return what mypy says of programs, as ``page:line: error: …``.

    Args:
        programs: page → its program.
        options: further ones of mypy, and files. By default it goes on from what the check of the package has found.
    """
    with tempfile.TemporaryDirectory() as name:
        files = {f"page_{number}.py": page for number, page in enumerate(programs)}
        for file, page in files.items():
            Path(name, file).write_text(programs[page], encoding="utf-8")
        sources = [f"{name}/{file}" for file in files]
        settings = f"--config-file={ROOT / 'pyproject.toml'}"
        said, failed, _ = api.run([settings, "--no-error-summary", *options, *sources])
        for file, page in files.items():
            said = said.replace(os.path.relpath(f"{name}/{file}"), page).replace(f"{name}/{file}", page)
    return [line for line in (said + failed).splitlines() if ": note: " not in line]


def main() -> int:
    """Print what is wrong; return 1 if anything is."""
    found = problems({page: program_of(ROOT / page) for page in PAGES})
    print("\n".join(found) or f"the programs of {', '.join(PAGES)} have the right types")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
