"""The part of the docs on classes of other packages, from what ``benchmarks.foreign_classes`` wrote."""

from __future__ import annotations

import re
from typing import Any

from benchmarks.reference import table

_LONGEST = 110


def foreign_section(content: dict[str, Any]) -> str:
    """Return the part: how many classes of each package train, and which are refused, and why."""
    rows = [_row(package) for package in content["packages"]]
    refused = "".join(_refused(package) for package in content["packages"])
    headings = ["package", "classes of", "tried", "train", "of them diverge", "refused", "anything else"]
    return f"""
## Classes of other packages

Every public class of these packages was tried, with its own defaults, in a training of twelve steps on the digits.
Rates, sizes and margins without a default were given, and `reduction: mean` in place of `none`. A loss is registered
with class indices, then with one-hot rows. *Refused* means one line before a run exists. Nothing else may happen.
`--allow-import PACKAGE` lets a config name these classes. Losses of pictures and volumes are among the refused ones.

{table(headings, rows)}
Refused, and why:

{refused}
Command: `python -m benchmarks.foreign_classes`, where the packages are installed. Each training:
`{content["command"]}`
"""


def _row(package: dict[str, Any]) -> list[str]:
    found = [one["outcome"] for one in package["outcomes"].values()]
    trained = found.count("works") + found.count("diverges")
    counts = [len(found), trained, found.count("diverges"), found.count("refused"), found.count("crashed")]
    kind = {"optimizer": "optimizers", "criterion": "losses"}[package["kind"]]
    return [f"{package['distribution']} {package['version']}", f"`{package['module']}`, {kind}", *map(str, counts)]


def _refused(package: dict[str, Any]) -> str:
    """Return a line for each reason, with the classes that it holds for."""
    reasons: dict[str, list[str]] = {}
    for name, one in package["outcomes"].items():
        if one["outcome"] not in ("works", "diverges"):
            reasons.setdefault(_reason(one["reason"], name), []).append(name)
    lines = [f"  - {', '.join(f'`{name}`' for name in names)}: {reason}\n" for reason, names in reasons.items()]
    return f"- `{package['module']}`\n{''.join(lines)}" if lines else ""


def _reason(said: str, name: str) -> str:
    """Return what was said, without the class and without places in other packages' files."""
    text = re.sub(r"^lossopt: (model\.\w+(=\w+)?(\.\w+)?( from the command line)?:? )?", "", said).replace(name, "it")
    text = re.sub(r"; LOSSOPT_TRACEBACK=1.*| \([\w.]+, line \d+[^)]*\)|<.*?>", "", text).strip().replace("|", "/")
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()}…"
    return text.replace("*", r"\*")
