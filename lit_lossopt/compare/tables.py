"""The tables of the page, as texts: what each arm did, and how sure each difference is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan

from lit_lossopt.compare.comparison import Arm, Comparison, Contrast, Estimate, Trial
from lit_lossopt.compare.nouns import place_of_best, shown_place, to_target
from lit_lossopt.compare.numerals import (
    UNKNOWN,
    Unit,
    count,
    factor,
    interval,
    probability,
    ripple_name,
    significant,
    unit,
)


@dataclass(frozen=True)
class Cell:
    """A text, a smaller one below it, and the number it is sorted by (unknown ones come last)."""

    text: str
    below: str = ""
    order: float = inf


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: what it is about.
        look: the place of its arm's style, or −1.
        cells: one a column.
        note: a word beside the name.
    """

    name: str
    look: int
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Column heads with what they mean, and rows."""

    heads: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


Column = tuple[str, str, Callable[[Arm], Cell]]


def arm_table(comparison: Comparison) -> Table:
    """Return the table of arms, best first; columns in which nothing is known are left out."""
    shown = unit(comparison.metric)
    columns = [
        *_result_columns(comparison, shown),
        *_steadiness_columns(comparison, shown),
        *_score_columns(comparison),
        ("area", "mean of the metric over the budget", lambda arm: _metric(arm.area, shown)),
    ]
    cells = [[cell(arm) for _, _, cell in columns] for arm in comparison.arms]
    kept = [place for place in range(len(columns)) if any(row[place].text != UNKNOWN for row in cells)]
    alike = set(comparison.alike[1:])
    rows = [
        Row(
            arm.name,
            place,
            tuple(row[k] for k in kept),
            "cannot be told apart from the best" if arm.name in alike else "",
        )
        for place, (arm, row) in enumerate(zip(comparison.arms, cells, strict=True))
    ]
    return Table(tuple((columns[k][0], columns[k][1]) for k in kept), tuple(rows))


def _result_columns(comparison: Comparison, shown: Unit) -> list[Column]:
    return [
        ("runs", "how many, and how they ended", _runs),
        (
            f"final {comparison.metric}",
            "mean of the last tenth of the evaluations",
            lambda arm: _metric(arm.final, shown),
        ),
        ("best", "the best evaluation", lambda arm: _metric(arm.best, shown)),
        (to_target(comparison), "median over the runs", lambda arm: _to_target(arm.steps_to_target, arm)),
        ("seconds to target", "training seconds, median", lambda arm: _to_target(arm.seconds_to_target, arm, "")),
        *_examples_column(comparison),
    ]


def _examples_column(comparison: Comparison) -> list[Column]:
    """Return the column of examples to target, where it says more than steps do: with unequal batches."""
    if comparison.axis == "example":
        return []
    ratios = [arm.examples_to_target.value / arm.steps_to_target.value for arm in comparison.arms if _reached(arm)]
    if not ratios or max(ratios) - min(ratios) < 1e-3 * max(ratios):
        return []
    return [("examples to target", "examples seen, median", lambda arm: _to_target(arm.examples_to_target, arm, ""))]


def _reached(arm: Arm) -> bool:
    return (
        isfinite(arm.examples_to_target.value) and isfinite(arm.steps_to_target.value) and arm.steps_to_target.value > 0
    )


def _steadiness_columns(comparison: Comparison, shown: Unit) -> list[Column]:
    def of(quantity: str) -> Callable[[Arm], Cell]:
        def cell(arm: Arm) -> Cell:
            value = getattr(arm.oscillation, quantity) if arm.oscillation else float("nan")
            return Cell(shown.spread(value), order=value) if isfinite(value) else Cell(UNKNOWN)

        return cell

    def swings(arm: Arm) -> Cell:
        value = arm.roughness.value
        return Cell(shown.spread(value), order=value) if isfinite(value) else Cell(UNKNOWN)

    def drops(arm: Arm) -> Cell:
        found = arm.oscillation
        return Cell(significant(found.drops), order=found.drops) if found and isfinite(found.drops) else Cell(UNKNOWN)

    return [
        (ripple_name(comparison), "of the loss of each step, over the descent", lambda arm: _plain(arm.ripple)),
        ("roughness", "of the metric, beyond its slope, over the second half", swings),
        ("deviation", "of the metric over the second half", of("deviation")),
        ("mean change", "from one evaluation to the next, second half", of("mean_change")),
        ("best − final", "what was lost again", of("best_minus_final")),
        ("drops", "over one point, second half", drops),
    ]


def _score_columns(comparison: Comparison) -> list[Column]:
    names = sorted({name for arm in comparison.arms for name in arm.scores})

    def of(name: str) -> Callable[[Arm], Cell]:
        return lambda arm: _plain(arm.scores[name]) if name in arm.scores else Cell(UNKNOWN)

    return [(name, "final value", of(name)) for name in names]


def _runs(arm: Arm) -> Cell:
    ended = [f"{number} {verdict}" for verdict, number in arm.verdicts.items() if verdict != "completed" and number]
    return Cell(str(len(arm.trials)), ", ".join(ended), len(arm.trials))


def _metric(estimate: Estimate, shown: Unit) -> Cell:
    if isnan(estimate.value):
        return Cell(UNKNOWN)
    return Cell(shown.text(estimate.value), interval(estimate.low, estimate.high, shown.bare), estimate.value)


def _plain(estimate: Estimate) -> Cell:
    if isnan(estimate.value):
        return Cell(UNKNOWN)
    return Cell(significant(estimate.value), interval(estimate.low, estimate.high, significant), estimate.value)


def _to_target(estimate: Estimate, arm: Arm, missed: str = "{} of {} reached it") -> Cell:
    if isnan(estimate.value):
        return Cell(UNKNOWN)
    missed = "" if arm.reached == len(arm.trials) else missed.format(arm.reached, len(arm.trials))
    return Cell(count(estimate.value), missed or interval(estimate.low, estimate.high, count), estimate.value)


BETTER = {"final": "better", "steps_to_target": "faster"}
FACTORS = ("steps_to_target", "ripple")
CONTRAST_HEADS = (
    ("difference", "with its 95 % interval, over shared seeds"),
    ("pairs", "seeds that both arms have"),
    ("p", "of the test named below it, adjusted (Holm) for the comparisons made"),
    ("sign-flip p", "exact, not adjusted"),
    ("wins", "share of pairs in which the first is better, ties half"),
    ("verdict", "what may be claimed"),
)


def oscillation_caption(comparison: Comparison) -> str:
    """Return by which quantity arms are compared for oscillation."""
    quantity = comparison.oscillations[0].quantity if comparison.oscillations else ""
    return "Oscillation, by the ripple of the loss" if quantity == "ripple" else f"Oscillation, by the {quantity}"


def contrast_table(contrasts: Sequence[Contrast], comparison: Comparison, look: Mapping[str, int]) -> Table:
    """Return the table of differences between arms, in the order of the contrasts."""
    shown = unit(comparison.metric)
    rows = [
        Row(f"{one.first} against {one.second}", look.get(one.second, -1), _contrast(one, shown)) for one in contrasts
    ]
    return Table(CONTRAST_HEADS, tuple(rows))


def _difference(one: Contrast, shown: Unit, said: str) -> Cell:
    low, high = one.difference.low, one.difference.high
    if one.quantity not in FACTORS:
        between = interval(low, high, lambda value: shown.change(value).removesuffix(shown.difference))
        return Cell(shown.change(one.difference.value), between, one.difference.value)
    text = factor(one.difference, one.bound)
    return Cell(text if text == UNKNOWN else f"{text} {said}", interval(low, high, significant), one.difference.value)


def _contrast(one: Contrast, shown: Unit) -> tuple[Cell, ...]:
    needed = "" if one.claimed or one.seeds_needed is None else f"about {one.seeds_needed} seeds would be needed"
    said = BETTER.get(one.quantity, "steadier")
    verdict = said if one.claimed else "equivalent" if one.equivalent else "cannot be told apart"
    return (
        _difference(one, shown, said),
        Cell(str(one.difference.n), "", one.difference.n),
        Cell(probability(one.p_adjusted), one.test, one.p_adjusted),
        Cell(probability(one.p_sign_flip), "", one.p_sign_flip),
        Cell(UNKNOWN if isnan(one.wins) else f"{100 * one.wins:.0f} %", "", one.wins),
        Cell(verdict, one.remark or needed, 0 if one.claimed else 1),
    )


def run_heads(comparison: Comparison) -> tuple[str, ...]:
    """Return the heads of the table of runs."""
    where = ("at step" if comparison.no_speed else f"at {comparison.axis}", to_target(comparison))
    return ("run", "seed", "ended", "final", "best", *where, "parameters of its own")


def run_cells(trial: Trial, comparison: Comparison) -> tuple[str, ...]:
    """Return the texts of a run's row, from ``seed`` to ``steps to target``."""
    shown = unit(comparison.metric)
    to_target = UNKNOWN if isnan(trial.steps_to_target) else count(trial.steps_to_target)
    best = shown_place(place_of_best(trial)) if isfinite(trial.best) else UNKNOWN
    return (trial.seed or UNKNOWN, trial.verdict, shown.text(trial.final), shown.text(trial.best), best, to_target)
