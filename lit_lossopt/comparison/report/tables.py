"""The tables of the page as texts.

They say what each arm did, and how sure each difference is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan

from lit_lossopt.comparison.comparison import Arm, Comparison, Contrast, Decision, Estimate, Trial
from lit_lossopt.comparison.report.phrases import place_of_best, to_target
from lit_lossopt.comparison.report.units import Unit, count, factor, ripple_name, unit
from lit_lossopt.comparison.statistics.paired_tests import PAIRED_T
from lit_lossopt.core.names import Verdict
from lit_lossopt.core.numbers import UNKNOWN, interval, ratio, shown_place, significant
from lit_lossopt.core.numbers import probability_alone as probability


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    It has a text, a smaller one below it, and the number that it is sorted by. Unknown numbers come last.
    """

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
    """Return the table of arms, best first.

    Columns in which nothing is known are left out.
    """
    shown = unit(comparison.metric)
    columns = [
        *_result_columns(comparison, shown),
        *_steadiness_columns(comparison, shown),
        *_score_columns(comparison),
        ("area", "mean of the metric over the budget", lambda arm: _metric(arm.area, shown)),
    ]
    cells = [[cell(arm) for _, _, cell in columns] for arm in comparison.arms]
    kept = [place for place in range(len(columns)) if any(row[place].text != UNKNOWN for row in cells)]
    rows = [
        Row(arm.name, place, tuple(row[k] for k in kept), beside_the_best(arm, comparison))
        for place, (arm, row) in enumerate(zip(comparison.arms, cells, strict=True))
    ]
    return Table(tuple((columns[k][0], columns[k][1]) for k in kept), tuple(rows))


def beside_the_best(arm: Arm, comparison: Comparison) -> str:
    """Return how an arm's final value stands to the named arm's.

    The result is empty where it is claimed to be worse.
    """
    best = comparison.alike[0] if comparison.alike else ""
    pair = next((one for one in comparison.finals if {one.first, one.second} == {arm.name, best}), None)
    if pair is None or pair.decision is Decision.CLAIMED:
        return ""
    words = {
        Decision.OPEN: f"{Decision.OPEN} from {best}",
        Decision.EQUIVALENT: f"equivalent to {best}",
        Decision.SAME: f"the same as {best} at every seed",
        Decision.UNTESTED: "",
    }
    return words[pair.decision]


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
    """Return the column of examples to target.

    It is there where it says more than steps do, which is with unequal batches.
    """
    if comparison.axis == "example":
        return []
    reached = [(arm.examples_to_target.value, arm.steps_to_target.value) for arm in comparison.arms]
    ratios = [examples / steps for examples, steps in reached if isfinite(examples) and isfinite(steps) and steps > 0]
    if not ratios or max(ratios) - min(ratios) < 1e-3 * max(ratios):
        return []
    return [("examples to target", "examples seen, median", lambda arm: _to_target(arm.examples_to_target, arm, ""))]


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
        ("climb-back", "of the training loss, as a share of its descent", lambda arm: _plain(arm.climb_back)),
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
    ended = [
        f"{number} {verdict}" for verdict, number in arm.verdicts.items() if verdict != Verdict.COMPLETED and number
    ]
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


CLAIMS = {"final": "better", "steps_to_target": "faster", "climb_back": "steadier", "roughness": "steadier"}
FACTORS = ("steps_to_target", "climb_back")
CONTRAST_HEADS = (
    ("difference", "with its interval, over shared seeds; all intervals of the page hold together in 95 % of pages"),
    ("pairs", "seeds that both arms have"),
    ("p", "of the test named below it, adjusted for everything that this page may claim"),
    ("wins", "share of pairs in which the first is better, ties half"),
    ("verdict", "what may be claimed"),
)


def oscillation_caption(comparison: Comparison) -> str:
    """Return by which quantity arms are compared for oscillation."""
    climbing = any(one.quantity == "climb_back" for one in comparison.oscillations)
    return "Oscillation: how much the training loss climbs back" if climbing else "Roughness of the evaluations"


def contrast_table(contrasts: Sequence[Contrast], comparison: Comparison, look: Mapping[str, int]) -> Table:
    """Return the table of differences between arms.

    It has the order of the contrasts.
    """
    shown = unit(comparison.metric)
    rows = [
        Row(f"{one.first} against {one.second}", look.get(one.second, -1), _contrast(one, shown)) for one in contrasts
    ]
    return Table(CONTRAST_HEADS, tuple(rows))


def difference_cell(one: Contrast, shown: Unit) -> Cell:
    """Return a difference or a factor, with its interval below it."""
    low, high = one.difference.low, one.difference.high
    if one.quantity not in FACTORS:
        between = interval(low, high, lambda value: shown.change(value).removesuffix(shown.difference))
        return Cell(shown.change(one.difference.value), between, one.difference.value)
    less = "fewer" if one.quantity == "steps_to_target" else "less"
    said = f"{factor(one)} {less}" if one.claimed else factor(one)
    # The first missed it, too: the factor holds as far as both were run, and beyond that none is known.
    said += " as far as both were run" * (bool(one.test) and one.missed[0] > 0)
    between = f"{ratio(low)} or more" if one.at_least and not isnan(low) else interval(low, high, ratio)
    return Cell(said, between, one.difference.value)


def _contrast(one: Contrast, shown: Unit) -> tuple[Cell, ...]:
    verdict = CLAIMS[one.quantity] if one.claimed else str(one.decision)
    needed = "" if one.seeds_needed is None else f"about {one.seeds_needed} seeds would be needed"
    if needed and one.test != PAIRED_T:
        # Not at the effect that was seen, but for the test to claim anything.
        needed = f"{one.test or one.remark}: at least {one.seeds_needed} seeds are needed"
    missed = [
        f"{name} missed it at {count}" for name, count in zip((one.first, one.second), one.missed, strict=True) if count
    ]
    return (
        difference_cell(one, shown),
        Cell(str(one.difference.n), ", ".join(missed), one.difference.n),
        Cell(probability(one.p_adjusted), one.test, one.p_adjusted),
        Cell(UNKNOWN if isnan(one.wins) else f"{100 * one.wins:.0f} %", "", one.wins),
        Cell(verdict, needed or (one.remark if one.decision is Decision.UNTESTED else ""), 0 if one.claimed else 1),
    )


def run_heads(comparison: Comparison) -> tuple[str, ...]:
    """Return the heads of the table of runs."""
    where = ("at step" if comparison.no_speed else f"at {comparison.axis}", to_target(comparison))
    return ("run", "seed", "ended", "final", "best", *where, "parameters of its own")


def run_cells(trial: Trial, comparison: Comparison) -> tuple[str, ...]:
    """Return the texts of a run's row.

    They go from ``seed`` to ``steps to target``.
    """
    shown = unit(comparison.metric)
    to_target = UNKNOWN if isnan(trial.steps_to_target) else count(trial.steps_to_target)
    best = shown_place(place_of_best(trial)) if isfinite(trial.best) else UNKNOWN
    return (trial.seed or UNKNOWN, trial.verdict, shown.text(trial.final), shown.text(trial.best), best, to_target)
