"""From runs, grouped by arm, to what a comparison found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite, isnan, nan

import numpy as np

from lit_lossopt.comparison.comparison import (
    Arm,
    ArmRuns,
    BudgetCurve,
    Comparison,
    Estimate,
    LeftOut,
    Oscillation,
    Sensitivity,
    Trial,
)
from lit_lossopt.comparison.grouping.schedules import at_common_places
from lit_lossopt.comparison.grouping.selection import (
    not_equal_by_accident,
    note_on_test_images,
    on_test_images,
    refuse_different_losses,
    select,
)
from lit_lossopt.comparison.measures.axes import Axes, common_axis, least_to_target
from lit_lossopt.comparison.measures.convergence import near_best
from lit_lossopt.comparison.measures.learning_rate import budget_curve, sensitivity
from lit_lossopt.comparison.measures.ripple import measure_ripples
from lit_lossopt.comparison.measures.trial import (
    Yardstick,
    batch_size_of,
    curve_of,
    final_of,
    measure,
    verdict_of,
)
from lit_lossopt.comparison.metric import is_accuracy
from lit_lossopt.comparison.statistics.contrasts import (
    CLIMB_BACK,
    FINAL,
    ROUGHNESS,
    STEPS_TO_TARGET,
    Quantity,
    Question,
    Sample,
    contrasts,
    without_unknown,
)
from lit_lossopt.comparison.statistics.paired_tests import median_interval, t_interval
from lit_lossopt.comparison.statistics.winners import against_best, group_of_best
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.names import RESULTS
from lit_lossopt.tracking.reading.runs import Run


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
) -> Comparison:
    """Return what a comparison of arms found.

    Args:
        arms: at least one, with runs whose histories are read.
        title: experiment or sweep.
        metric: the compared one.
        higher_is_better: of the metric.
        target: value that counts as reached; None: 95 % of the best arm's median final value.
        by: the settings that make an arm.
        all_pairs: show contrasts of all pairs of arms, not only those with the best one.
        margin: differences of the final value within it are equivalent.
        tuning: trials that found the arms' settings; they feed sensitivity and budget curves only.
        left_out: runs that were left out before.
        notes: what is already known that a reader must know.
        runs_address: see ``Comparison``.

    Raises:
        UserError: nothing can be compared, or losses would be ranked across losses.
    """
    chosen = select(arms, metric)
    if not chosen.arms:
        raise UserError(f"no run can be compared by {metric}: {chosen.reasons()}")
    refuse_different_losses(chosen.arms, metric)
    axes = common_axis(chosen.arms, metric)
    placed, unevenly = at_common_places(chosen.arms, axes, metric)
    found = replace(
        _measured_comparison(placed, axes, metric, higher_is_better, target, tuning),
        title=title,
        by=tuple(by),
        margin=margin,
        runs_address=runs_address,
    )
    found = replace(found, notes=(*found.notes, *axes.notes, *unevenly, *note_on_test_images(placed, metric)))
    return replace(
        _contrasted(found, all_pairs),
        left_out=(*left_out, *chosen.left_out),
        notes=(*notes, *chosen.notes, *found.notes),
    )


def _measured_comparison(
    arms: Sequence[ArmRuns],
    axes: Axes,
    metric: str,
    higher_is_better: bool,
    target: float | None,
    tuning: Sequence[ArmRuns],
) -> Comparison:
    """Return a comparison without its contrasts."""
    start = _start(arms, metric)
    value, origin = _target(arms, metric, higher_is_better, target, start)
    yardstick = Yardstick(metric, higher_is_better, value)
    ripples = measure_ripples(arms)
    return Comparison(
        title="",
        metric=metric,
        higher_is_better=higher_is_better,
        target=value,
        target_origin=origin,
        by=(),
        arms=_measured(arms, axes, yardstick, ripples.values),
        finals=(),
        speeds=(),
        alike=(),
        alike_speed=(),
        sensitivity=_sensitivities([*arms, *tuning], metric, higher_is_better, start),
        budgets=_budgets(tuning, metric, higher_is_better),
        left_out=(),
        notes=ripples.notes,
        margin=nan,
        axis=axes.noun,
        no_speed=axes.no_speed,
        on_test_images=on_test_images(arms, metric),
        ripple_is_ratio=ripples.are_ratios,
    )


def _measured(
    arms: Sequence[ArmRuns], axes: Axes, yardstick: Yardstick, ripples: Mapping[str, float]
) -> tuple[Arm, ...]:
    """Return the arms in numbers, best first."""

    def trial(run: Run, arm: ArmRuns) -> Trial:
        return measure(run, arm, yardstick, ripples.get(run.run_id, nan), axes.place(run, yardstick.metric))

    measured = [_arm(arm, [trial(run, arm) for run in arm.runs], yardstick.metric) for arm in arms]
    sign = -1.0 if yardstick.higher_is_better else 1.0
    return tuple(sorted(measured, key=lambda arm: (isnan(arm.final.value), sign * arm.final.value, arm.name)))


def fastest(arms: Sequence[Arm]) -> Arm:
    """Return the arm with the fewest steps to target.

    The median counts. Of several arms, the one whose runs reach it soonest is taken.
    """
    return _by_speed(arms)[0]


def _by_speed(arms: Sequence[Arm]) -> list[Arm]:
    known = [arm for arm in arms if not isnan(arm.steps_to_target.value)]
    return sorted(
        known, key=lambda arm: (arm.steps_to_target.value, -arm.reached / len(arm.trials), _soon(arm), arm.name)
    )


def _contrasted(found: Comparison, all_pairs: bool) -> Comparison:
    """Return the comparison with its contrasts.

    All are judged together. With them comes who cannot be told apart.
    """
    measured = () if found.no_speed else found.arms
    questions = [_final_question(found), _speed_question(measured), _oscillation_question(found)]
    (made, speeds, oscillations), whole = contrasts(questions)
    finals = not_equal_by_accident(made, found.arms)
    alike = group_of_best([arm.name for arm in found.arms], finals)
    alike_speed = group_of_best([arm.name for arm in _by_speed(measured)], speeds) if measured else ()
    return replace(
        found,
        finals=tuple(finals) if all_pairs else against_best(finals, alike),
        speeds=tuple(speeds) if all_pairs else against_best(speeds, alike_speed),
        alike=alike,
        alike_speed=alike_speed,
        oscillations=tuple(oscillations),
        comparisons=whole.comparisons,
        level=whole.level,
    )


def _final_question(found: Comparison) -> Question:
    quantity = Quantity(FINAL, found.higher_is_better, margin=found.margin)
    return Question(quantity, tuple(_sample(arm, lambda trial: trial.final) for arm in found.arms))


def _speed_question(arms: Sequence[Arm]) -> Question:
    """Return the question of steps to the target.

    It asks nothing where no run reached the target.
    """
    quantity = replace(STEPS_TO_TARGET, least=least_to_target(arms))
    return Question(quantity, tuple(map(_speed, arms)) if any(arm.reached for arm in arms) else ())


def _oscillation_question(found: Comparison) -> Question:
    """Return the question of climb-back.

    Where fewer than two arms have one, it is that of the roughness of evaluations.
    """
    climbing = [_climbing(arm) for arm in found.arms if isfinite(arm.climb_back.value)]
    if len(climbing) > 1:
        return Question(CLIMB_BACK, tuple(climbing))
    rough = [_sample(arm, lambda trial: trial.roughness) for arm in found.arms]
    return Question(ROUGHNESS, tuple(sample for sample in rough if sample.values))


def _climbing(arm: Arm) -> Sample:
    """Return the climb-back of an arm's runs.

    Its group has runs of the same length and batch size alone.
    """
    kinds = {
        f"{int(trial.probe.steps[-1])} steps of {batch_size_of(trial.run)}"
        for trial in arm.trials
        if isfinite(trial.climb_back)
    }
    sample = _sample(arm, lambda trial: trial.climb_back)
    return replace(sample, group=kinds.pop() if len(kinds) == 1 else f"{arm.name} alone")


def _sample(arm: Arm, value: Callable[[Trial], float]) -> Sample:
    return Sample(arm.name, without_unknown({trial.seed: value(trial) for trial in arm.trials if trial.seed}))


def _speed(arm: Arm) -> Sample:
    """Return the steps to target of an arm's runs.

    Only runs count of which it is known how far they went.
    """
    limits = {trial.seed: trial.end for trial in arm.trials if trial.seed and isfinite(trial.end)}
    found = _sample(arm, lambda trial: trial.steps_to_target if isfinite(trial.end) else nan)
    return replace(found, limits=limits)


def _arm(arm: ArmRuns, trials: Sequence[Trial], metric: str) -> Arm:
    scores = sorted({name for trial in trials for name in trial.scores})
    oscillations = [trial.oscillation for trial in trials if trial.oscillation is not None]
    verdicts = [trial.verdict for trial in trials]
    return Arm(
        name=arm.name,
        family=arm.family,
        settings=arm.settings,
        learning_rate=arm.learning_rate,
        trials=tuple(trials),
        verdicts={verdict: verdicts.count(verdict) for verdict in RESULTS if verdict in verdicts},
        final=_mean([trial.final for trial in trials], metric),
        best=_mean([trial.best for trial in trials], metric),
        area=_mean([trial.area for trial in trials], metric),
        steps_to_target=_median([trial.steps_to_target for trial in trials]),
        seconds_to_target=_median([trial.seconds_to_target for trial in trials]),
        examples_to_target=_median([trial.examples_to_target for trial in trials]),
        reached=sum(isfinite(trial.steps_to_target) for trial in trials),
        ripple=_mean([trial.ripple for trial in trials]),
        roughness=_mean([trial.roughness for trial in trials]),
        oscillation=_mean_oscillation(oscillations),
        climb_back=_mean([trial.climb_back for trial in trials]),
        scores={name: _mean([trial.scores.get(name, nan) for trial in trials], name) for name in scores},
    )


def _mean(values: Sequence[float], metric: str = "") -> Estimate:
    """Return mean and interval of the known values.

    The interval of an accuracy ends where accuracies do.
    """
    known = [value for value in values if not isnan(value)]
    if not known:
        return Estimate(nan)
    interval = t_interval(known)
    is_share = is_accuracy(metric) and min(known) >= 0 and max(known) <= 1
    low, high = np.clip(interval, 0, 1).tolist() if is_share else interval
    return Estimate(float(np.mean(known)), low, high, len(known))


def _median(values: Sequence[float]) -> Estimate:
    known = [value for value in values if not isnan(value)]
    return Estimate(float(np.median(known)), *median_interval(known), len(known)) if known else Estimate(nan)


def _mean_oscillation(found: Sequence[Oscillation]) -> Oscillation | None:
    if not found:
        return None
    table = [(one.deviation, one.mean_change, one.best_minus_final, one.drops) for one in found]
    return Oscillation(*(float(mean) for mean in np.mean(table, axis=0)))


def _start(arms: Sequence[ArmRuns], metric: str) -> float:
    """Return the median of the first evaluations of all runs."""
    curves = [curve_of(run, metric) for arm in arms for run in arm.runs]
    return float(np.median([curve.values[0] for curve in curves if len(curve.values)]))


def _target(
    arms: Sequence[ArmRuns], metric: str, higher_is_better: bool, target: float | None, start: float
) -> tuple[float, str]:
    """Return the target and how it was chosen."""
    if target is not None:
        return target, "as asked for"
    sign = 1.0 if higher_is_better else -1.0
    finals = {arm.name: [final_of(run, metric) for run in arm.runs] for arm in arms}
    medians = {name: float(np.nanmedian(values)) for name, values in finals.items() if not np.isnan(values).all()}
    best = max(sorted(medians), key=lambda name: sign * medians[name])
    value = near_best(medians[best], start, higher_is_better=higher_is_better)
    of = "95 %" if higher_is_better and medians[best] > 0 else "95 % of the way from the first evaluation to that"
    return value, f"{of} of the best median final value, which {best} has"


def _sensitivities(
    arms: Sequence[ArmRuns], metric: str, higher_is_better: bool, start: float
) -> tuple[Sensitivity, ...]:
    points: dict[str, dict[str, tuple[float, float, str]]] = {}
    for arm in arms:
        for run in arm.runs:
            if verdict_of(run) in RESULTS:
                point = (arm.learning_rate, final_of(run, metric), verdict_of(run))
                points.setdefault(arm.family, {})[run.run_id] = point
    made = (
        sensitivity(family, list(found.values()), start=start, higher_is_better=higher_is_better)
        for family, found in points.items()
    )
    return tuple(one for one in made if one is not None)


def _budgets(tuning: Sequence[ArmRuns], metric: str, higher_is_better: bool) -> tuple[BudgetCurve, ...]:
    finals: dict[str, dict[str, float]] = {}
    for arm in tuning:
        for run in arm.runs:
            if verdict_of(run) in RESULTS:
                finals.setdefault(arm.family, {})[run.run_id] = final_of(run, metric)
    made = {
        family: budget_curve(list(found.values()), higher_is_better=higher_is_better)
        for family, found in finals.items()
    }
    return tuple(BudgetCurve(family, expected) for family, expected in made.items() if len(expected))


def _soon(arm: Arm) -> float:
    """Return the mean logarithm of steps to target.

    It is infinite where a run never reached it.
    """
    known = [trial.steps_to_target for trial in arm.trials if not isnan(trial.steps_to_target)]
    return float(np.mean([np.log(max(steps, 1e-6)) for steps in known]))
