"""The sections on races in ``docs/measures.md`` and in the README, rendered from the JSON of their benchmarks."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from benchmarks.reference import table
from lit_lossopt.core.numbers import counted, spelled

_E_VALUES = ("e-values, 1", "e-values, 2", "e-values, 3", "e-values, 5")
_SHOWN = ("race", "page", "e-values", "naive")
_WIDTH = 118


def race_section(content: dict[str, Any]) -> str:
    """Return three tables with a sentence each."""
    pages, some = content["false_claims"][0]["pages"], content["power"][0]["pages"]
    false = f"""Races of equal arms that claim *any* difference, of {pages:,} each, with at most 32 seeds. *Page*: in
any of the three questions. *E-values*: at the same looks. *Naive*: `compare` after each further seed from three on,
until it claims something. Without a margin nothing is ever equivalent, so every race of equal arms goes to its limit.
*One ahead*: one arm is truly better by three standard deviations, and false claims are those among the others,
which are equal."""
    found = f"""True differences that are found, and the repeats that this takes, of {some:,} races each. One arm is
ahead of all others, which are equal. The standard deviation of a paired difference is half a point, or half of 1.3× on
the log axis. *Equivalent* are pairs with the arm that is ahead, and such a pair
may be better, too, where the difference is small and certain. Half a point lies within the margin of one
point, and 1.1× is the margin itself."""
    expected = "Repeats of a race by e-values, by the deviation of the effects that are expected."
    command = f"Command: `{content['command']}` (made-up values, decided by the code that decides a sweep's race)."
    parts = [
        fill(false, _WIDTH), _false_claims(content), fill(found, _WIDTH), _power(content), expected, _expected(content),
    ]  # fmt: skip
    return "\n\n".join(part.rstrip("\n") for part in [*parts, command])


def _false_claims(content: dict[str, Any]) -> str:
    rows = [
        [
            row["noise"],
            str(row["arms"]),
            f"{100 * row['margin']:g} point" if row["margin"] else "none",
            "yes" if row["ahead"] else "",
            f"{row['trainings']:.0f}",
            *(_percent(row["claims"][name]) for name in _SHOWN),
        ]
        for row in content["false_claims"]
    ]
    return table(["noise", "arms", "margin", "one ahead", "repeats", *_SHOWN], rows)


def _power(content: dict[str, Any]) -> str:
    rows = []
    for row in content["power"]:
        race, others = row["races"]["race"], [row["races"][name] for name in ("e-values, 3", "late spending")]
        rows.append(
            [
                row["difference"],
                str(row["arms"]),
                _percent(row["fixed"]),
                str(row["fixed_trainings"]),
                _percent(race["better"]),
                _percent(race["equivalent"]),
                f"{race['trainings']:.0f}",
                *(cell for one in others for cell in (_percent(one["better"]), f"{one['trainings']:.0f}")),
            ]
        )
    heads = ["difference", "arms", "eight seeds: found", "repeats", "race: found", "equivalent", "repeats"]
    return table([*heads, "e-values: found", "repeats", "late spending: found", "repeats"], rows)


def _expected(content: dict[str, Any]) -> str:
    rows = [
        [row["difference"], str(row["arms"]), *(f"{row['races'][name]['trainings']:.1f}" for name in _E_VALUES)]
        for row in content["power"]
    ]
    return table(["difference", "arms", *(name.rpartition(" ")[2] for name in _E_VALUES)], rows)


def race_paragraph(content: dict[str, Any]) -> str:
    """Return how the race on the digits fell, beside the fixed design."""
    fixed, usual = content["fixed"], 8 * content["arms"]
    less = content["repeats"] < usual
    shorter = "the race is the shorter one here" if less else "`make demo` keeps the fixed design, which is shorter"
    told = "no pair" if not fixed["claimed"] else f"{counted(fixed['claimed'], 'pair')} of {spelled(fixed['pairs'])}"
    words = [
        "As it fell on the digits:",
        *content["words"],
        f"With eight fixed seeds for each arm ({fixed['repeats']} repeats) {told} could be told apart by it.",
        f"So {shorter} (`{content['command']}`).",
    ]
    return fill(" ".join(words), _WIDTH)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
