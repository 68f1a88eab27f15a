"""The whole way of a comparison.

It is read, group, measure, test, conclude. Each step is a function from one frozen record of ``stages`` to the next.
The flags of a person come in, a ``Comparison`` goes out.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from math import isnan, nan

from lit_lossopt.comparison.addresses import runs_address
from lit_lossopt.comparison.comparison import ArmRuns, Comparison, LeftOut, Trial
from lit_lossopt.comparison.differences import find_differences
from lit_lossopt.comparison.grouping.arms import group
from lit_lossopt.comparison.grouping.histories import with_curves
from lit_lossopt.comparison.grouping.notes import note_on_looks, note_on_test_images, notes_on, on_test_images
from lit_lossopt.comparison.grouping.possible_looks import possible_looks, with_repeated
from lit_lossopt.comparison.grouping.schedules import at_common_places
from lit_lossopt.comparison.grouping.selection import candidates, repeated_by, select, without_comparisons
from lit_lossopt.comparison.grouping.units import as_shares, typed_margin, typed_target
from lit_lossopt.comparison.inclusion.audit import special_cases
from lit_lossopt.comparison.listing import note_on_listing
from lit_lossopt.comparison.measures.axes import common_axis
from lit_lossopt.comparison.measures.judged import judged, judged_note
from lit_lossopt.comparison.measures.learning_rate import budget_curves, sensitivities
from lit_lossopt.comparison.measures.losses_and_rates import rate_shifts, shared_rates
from lit_lossopt.comparison.measures.ripple import measure_ripples
from lit_lossopt.comparison.measures.target import choose_target, first_runs, start_of
from lit_lossopt.comparison.measures.trial import YARDSTICK_METRICS, Yardstick, measure
from lit_lossopt.comparison.metric import choose_metric, default_margin, higher_is_better, refuse_different_losses
from lit_lossopt.comparison.racing import recognized, target_of
from lit_lossopt.comparison.stages import Found, Grouped, Measured, Read, Terms, Tested
from lit_lossopt.comparison.statistics.estimates import arm_in_numbers
from lit_lossopt.comparison.statistics.judge import LEAST_PAIRS
from lit_lossopt.comparison.statistics.winners import against_best, by_speed, group_of_best
from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.numbers import spelled
from lit_lossopt.tracking.addresses import tracking_uri
from lit_lossopt.tracking.reading.runs import Run, experiments_of, find_experiment, read_runs


def find_runs(options: Namespace) -> Found:
    """Return the runs that the flags ask for.

    Raises:
        UserError: there are none, or the store cannot be read.
    """
    experiment = None if options.runs else find_experiment(options.experiment)
    runs = read_runs(experiment.name if experiment else options.experiment, options.filter, options.runs, deleted=True)
    if not runs:
        where = f" that --filter {options.filter!r} leaves" if options.filter else ""
        raise UserError(f"no runs{where} in {experiment.name if experiment else tracking_uri()}")
    return Found(tuple(runs), (experiment,) if experiment else tuple(experiments_of(runs)))


def compared(runs: Sequence[Run], options: Namespace, title: str) -> Comparison:
    """Return the comparison of runs that were read without histories.

    Args:
        runs: those that were found.
        options: the flags, as ``flags.parse`` returns them.
        title: experiment or sweep.

    Raises:
        UserError: nothing can be compared, or a flag does not fit the runs.
    """
    return conclude(find_differences(measure_arms(group_runs(read_curves(runs, options, title), options))))


def compare_arms(
    arms: Sequence[ArmRuns],
    *,
    title: str,
    metric: str,
    higher_is_better: bool,
    target: float | None,
    by: Sequence[str],
    all_pairs: bool = False,
    margin: float = 0.01,
    tuning: Sequence[ArmRuns] = (),
    left_out: Sequence[LeftOut] = (),
    notes: Sequence[str] = (),
    runs_address: str = "",
    sequential: bool = False,
) -> Comparison:
    """Return the comparison of runs that are grouped already.

    Args:
        arms: at least one, with runs whose histories are read.
        title: experiment or sweep.
        metric: the compared one.
        higher_is_better: of the metric.
        target: value that counts as reached. None takes 95 % of the best arm's median final value.
        by: the settings that make an arm.
        all_pairs: show contrasts of all pairs of arms, not only those with the best one.
        margin: differences of the final value within it are equivalent.
        tuning: trials that found the arms' settings. They feed sensitivity and budget curves only.
        left_out: runs that were left out before.
        notes: what is already known that a reader must know.
        runs_address: see ``Comparison``.
        sequential: whether claims are to hold however often one looks.

    Raises:
        UserError: nothing can be compared, or losses would be ranked across losses.
    """
    terms = Terms(title, metric, higher_is_better, target, tuple(by), margin, all_pairs, runs_address, sequential)
    grouped = comparable(Grouped(terms, tuple(arms), tuple(tuning), tuple(left_out), tuple(notes)))
    return conclude(find_differences(measure_arms(recognized(grouped, own_margin=False))))


def read_curves(runs: Sequence[Run], options: Namespace, title: str) -> Read:
    """Choose the metric, and read histories.

    Only runs that may count are read.

    Raises:
        UserError: no run may count, or the metric is unknown.
    """
    metric = choose_metric([run for run in without_comparisons(runs) if not run.deleted], options.metric)
    higher = higher_is_better(metric, options.higher_is_better)
    kept, left_out = candidates(runs, metric)
    if not kept:
        reasons = "; ".join(sorted({run.reason for run in left_out})) or "there are none"
        raise UserError(f"no runs to compare in {title}: {reasons}")
    logged = with_curves(kept, metric)
    judged_runs = judged(logged, metric)
    notes = (*judged_note(logged, judged_runs), *notes_on(judged_runs))
    repeated = repeated_by(kept, runs, left_out)
    return Read(title, metric, higher, tuple(judged_runs), tuple(left_out), notes, repeated)


def group_runs(read: Read, options: Namespace) -> Grouped:
    """Return the runs in arms that can be compared.

    Their accuracies are shares.

    Raises:
        UserError: a name of a setting fits no run, or nothing can be compared.
    """
    grouping = group(read.runs, options.by, options.ignore, options.seed_name)
    grouping, in_per_cent = as_shares(grouping, read.metric, YARDSTICK_METRICS)
    margin = default_margin(read.metric) if options.margin is None else options.margin
    terms = Terms(
        title=read.title,
        metric=read.metric,
        higher_is_better=read.higher_is_better,
        target=typed_target(options.target, read.metric),
        by=grouping.by,
        margin=typed_margin(margin, read.metric, in_per_cent=read.metric in in_per_cent),
        all_pairs=options.all_pairs,
        runs_address=runs_address(),
        sequential=options.sequential,
    )
    rescaled = [f"{name} was logged from 0 to 100, and tables show it from 0 to 1" for name in in_per_cent]
    notes = (*grouping.notes, *read.notes, *rescaled)
    grouped = comparable(Grouped(terms, grouping.arms, grouping.tuning, read.left_out, notes))
    raced = recognized(grouped, own_margin=options.margin is not None)
    if any(run.tags.get(names.TAG_RACE) for arm in grouped.arms for run in arm.runs):
        # Its looks were fixed before.
        return raced
    looks = possible_looks(with_repeated(grouped.arms, grouping.arms, read.repeated))
    more = note_on_looks(looks, len(grouped.arms), sequential=terms.sequential)
    return replace(grouped, notes=(*grouped.notes, *more))


def comparable(grouped: Grouped) -> Grouped:
    """Return arms with only those runs that count by their histories.

    Raises:
        UserError: no run is left, or losses would be ranked across losses.
    """
    metric = grouped.terms.metric
    chosen = select(grouped.arms, metric)
    if not chosen.arms:
        raise UserError(f"no run can be compared by {metric}: {chosen.reasons()}")
    refuse_different_losses(chosen.arms, metric)
    left_out, notes = (*grouped.left_out, *chosen.left_out), (*grouped.notes, *chosen.notes)
    return Grouped(grouped.terms, chosen.arms, grouped.tuning, left_out, notes)


def measure_arms(grouped: Grouped) -> Measured:
    """Measure all runs along one axis, at places that they share."""
    terms, metric, higher = grouped.terms, grouped.terms.metric, grouped.terms.higher_is_better
    axes = common_axis(grouped.arms, metric)
    placed, places_notes = at_common_places(grouped.arms, axes, metric)
    start = start_of(placed, metric)
    target, target_origin = _target(grouped, placed, start)
    yardstick = Yardstick(metric, higher, target)
    ripples = measure_ripples(placed)

    def trial(run: Run, arm: ArmRuns) -> Trial:
        return measure(run, arm, yardstick, ripples.values.get(run.run_id, nan), axes.place(run, metric))

    tried = (*placed, *grouped.tuning)
    arms = [arm_in_numbers(arm, [trial(run, arm) for run in arm.runs], metric) for arm in placed]
    sign = -1.0 if higher else 1.0
    # Arms without a final value come last, and equal ones in the order of the alphabet.
    arms.sort(key=lambda arm: (isnan(arm.final.value), sign * arm.final.value, arm.name))
    return Measured(
        terms=terms,
        arms=tuple(arms),
        axes=axes,
        target=target,
        target_origin=target_origin,
        sensitivity=sensitivities(tried, metric, start=start, higher_is_better=higher),
        budgets=budget_curves(grouped.tuning, metric, higher_is_better=higher),
        tried=tried,
        on_test_images=on_test_images(placed, metric),
        ripple_is_ratio=ripples.are_ratios,
        left_out=grouped.left_out,
        notes=(*grouped.notes, *ripples.notes, *axes.notes, *places_notes, *note_on_test_images(placed, metric)),
        race=grouped.race,
    )


def _target(grouped: Grouped, placed: Sequence[ArmRuns], start: float) -> tuple[float, str]:
    """Return the value that counts as reached, and how it was chosen in words."""
    terms = grouped.terms
    higher = terms.higher_is_better
    if grouped.race:
        return target_of(placed, grouped.race.rules)
    if not terms.sequential or terms.target is not None:
        return choose_target(placed, terms.metric, terms.target, start, higher_is_better=higher)
    # A target that moved with each further seed would change what was measured before.
    first = first_runs(placed, LEAST_PAIRS)
    target, origin = choose_target(first, terms.metric, None, start_of(first, terms.metric), higher_is_better=higher)
    return target, f"{origin} over the first {spelled(LEAST_PAIRS)} runs of each arm"


def conclude(tested: Tested) -> Comparison:
    """Name the best arms, and put together everything that is shown."""
    measured, terms = tested.measured, tested.measured.terms
    alike = group_of_best([arm.name for arm in measured.arms], tested.finals)
    ranked = [] if measured.axes.no_speed else [arm.name for arm in by_speed(measured.arms)]
    alike_speed = group_of_best(ranked, tested.speeds)
    comparison = Comparison(
        title=terms.title,
        metric=terms.metric,
        higher_is_better=terms.higher_is_better,
        target=measured.target,
        target_origin=measured.target_origin,
        by=terms.by,
        arms=measured.arms,
        finals=tested.finals if terms.all_pairs else against_best(tested.finals, alike),
        speeds=tested.speeds if terms.all_pairs else against_best(tested.speeds, alike_speed),
        alike=alike,
        alike_speed=alike_speed,
        sensitivity=measured.sensitivity,
        budgets=measured.budgets,
        left_out=measured.left_out,
        notes=measured.notes,
        margin=terms.margin,
        runs_address=terms.runs_address,
        oscillations=tested.oscillations,
        axis=measured.axes.noun,
        no_speed=measured.axes.no_speed,
        on_test_images=measured.on_test_images,
        ripple_is_ratio=measured.ripple_is_ratio,
        comparisons=tested.comparisons,
        level=tested.level,
        sequential=terms.sequential,
        race=measured.race,
        special_cases=special_cases(tested.finals, measured.arms, measured.tried),
        rate_shifts=rate_shifts(measured.tried, terms.metric, higher_is_better=terms.higher_is_better),
        shared_rates=shared_rates(measured.arms, measured.tried),
        contrasts=(*tested.finals, *tested.speeds, *tested.oscillations),
        tuning=measured.tried[len(measured.arms) :],
        all_pairs=terms.all_pairs,
    )
    return replace(comparison, notes=(*comparison.notes, *note_on_listing(comparison)))
