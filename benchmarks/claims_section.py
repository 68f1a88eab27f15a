"""The section on false claims and power in ``docs/measures.md``, rendered from ``results/claims.json``."""

from __future__ import annotations

from typing import Any

from benchmarks.reference import table


def claims_section(content: dict[str, Any]) -> str:
    """Return three tables with a sentence each."""
    procedures = list(content["false_claims"][0]["claims"])
    claims = [
        [row["kind"], *_size(row), *(_percent(row["claims"][name]) for name in procedures)]
        for row in content["false_claims"]
    ]
    found = [
        [row["difference"], *_size(row), *(_percent(row["found"][name]) for name in procedures)]
        for row in content["power"]
    ]
    alike = [
        [f"{row['points']:g}", *_size(row), _percent(row["of_pages"]), _percent(row["of_pairs"])]
        for row in content["equivalence"]
    ]
    pages, some = content["false_claims"][0]["pages"], content["power"][0]["pages"]
    return f"""Pages of equal arms that claim *any* difference, of {pages:,} each. *One arm far apart*: claims among the
other arms, which are equal.

{table(["noise", "arms", "seeds", *procedures], claims)}
True differences that are found, of {some:,} pages each. One arm is ahead of all others, which are equal.

{table(["difference", "arms", "seeds", *procedures], found)}
Pairs called equivalent within one point by *one level*, of {pages:,} pages each.

{table(["they differ by, points", "arms", "seeds", "pages with such a pair", "pairs"], alike)}
Command: `{content["command"]}` (made-up curves, {content["permutations"]} permutations a page)."""


def _size(row: dict[str, Any]) -> tuple[str, str]:
    return str(row["arms"]), str(row["seeds"])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
