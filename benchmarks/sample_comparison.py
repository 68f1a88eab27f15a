"""Comparisons made up of noisy curves, with every record that a page can show."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite, nan

import numpy as np

from lit_lossopt.comparison.comparison import (
    Arm,
    BudgetCurve,
    Comparison,
    Contrast,
    Estimate,
    LeftOut,
    Oscillation,
    Sensitivity,
    Trial,
)
from lit_lossopt.comparison.measures.oscillation import roughness
from lit_lossopt.tracking.reading.runs import History, Run

NAMES = ("adam", "sgd_momentum", "rmsprop", "muon", "sgd lr=10")
SPEEDS = (9.0, 6.0, 7.5, 8.0, 3.0)
WORDS = (
    "adam converges fastest: 1.4 times as fast as sgd_momentum (8 pairs, 95 % interval 1.2 to 1.6).",
    "muon cannot be told apart from adam. rmsprop oscillates most. sgd lr=10 diverges.",
)


def comparison(
    arms: int = 5, seeds: int = 8, steps: int = 600, evaluations: int = 21, criteria: int = 1, seed: int = 0
) -> Comparison:
    """Return a made-up comparison; where there are five arms or more, the fifth diverges."""
    random = np.random.default_rng(seed)
    made = []
    for place in range(arms):
        name = NAMES[place] if place < len(NAMES) else f"arm {place}"
        trials = tuple(_trial(random, place, name, number, steps, evaluations, criteria) for number in range(seeds))
        made.append(arm_of(name, trials))
    made.sort(key=lambda arm: -arm.final.value)
    names = [arm.name for arm in made]
    return Comparison(
        title="digits, four optimizers",
        metric="val/accuracy",
        higher_is_better=True,
        target=0.9,
        target_origin="95 % of the best arm’s median final accuracy",
        by=("optimizer", "lr"),
        arms=tuple(made),
        finals=tuple(_contrast(names[0], name, "final", 0.01 * n, n > 1) for n, name in enumerate(names[1:], 1)),
        speeds=tuple(
            _contrast(names[0], name, "steps_to_target", 1 + n / 4, n > 1) for n, name in enumerate(names[1:], 1)
        ),
        oscillations=_oscillations(made),
        alike=tuple(names[:2]),
        alike_speed=tuple(names[:2]),
        sensitivity=_sensitivity(random) if arms > 1 else (),
        budgets=_budgets() if arms > 1 else (),
        left_out=(LeftOut("f" * 32, "adam lr=0.1 seed=3", "interrupted after 120 steps"),) if arms > 1 else (),
        notes=("Seed 9 was run by adam alone and is not paired.",) if arms > 1 else (),
        margin=0.01,
        comparisons=3 * arms * (arms - 1) // 2,
        runs_address="http://127.0.0.1:5000/#/experiments/{experiment_id}/runs/{run_id}",
    )


def _oscillations(arms: list[Arm]) -> tuple[Contrast, ...]:
    """Return the contrasts of the steadiest arm with the others, as far as they have a climb-back."""
    known = sorted((arm for arm in arms if isfinite(arm.climb_back.value)), key=lambda arm: arm.climb_back.value)
    factors = [arm.climb_back.value / known[0].climb_back.value for arm in known]
    return tuple(
        _contrast(known[0].name, arm.name, "climb_back", factor, factor > 1.5)
        for arm, factor in zip(known[1:], factors[1:], strict=True)
    )


def arm_of(name: str, trials: tuple[Trial, ...]) -> Arm:
    """Return the arm of these runs."""
    verdicts = {verdict: sum(trial.verdict == verdict for trial in trials) for verdict in ("completed", "diverged")}
    steps = float(np.median([trial.steps_to_target for trial in trials]))
    seconds = float(np.median([trial.seconds_to_target for trial in trials]))
    known = [trial.oscillation for trial in trials if trial.oscillation]
    oscillation = None
    if known:
        fields = ("deviation", "mean_change", "best_minus_final", "drops")
        oscillation = Oscillation(*(float(np.mean([getattr(one, field) for one in known])) for field in fields))
    return Arm(
        name=name,
        family=name.partition(" lr=")[0],
        settings={"optimizer": name},
        learning_rate=trials[0].learning_rate,
        trials=trials,
        verdicts=verdicts,
        final=_mean([trial.final for trial in trials]),
        best=_mean([trial.best for trial in trials]),
        area=_mean([trial.area for trial in trials]),
        steps_to_target=Estimate(steps, n=len(trials)),
        seconds_to_target=Estimate(seconds, n=len(trials)),
        examples_to_target=Estimate(64 * steps, n=len(trials)),
        reached=sum(isfinite(trial.steps_to_target) for trial in trials),
        ripple=_mean([trial.ripple for trial in trials]),
        climb_back=_mean([trial.climb_back for trial in trials]),
        roughness=_mean([trial.roughness for trial in trials]),
        oscillation=oscillation,
        scores={"val/nll": _mean([trial.scores["val/nll"] for trial in trials if "val/nll" in trial.scores])},
    )


def with_name(made: Comparison, name: str) -> Comparison:
    """Return the comparison with another name for its best arm, wherever it is named."""
    best = made.arms[0]
    arm = replace(best, name=name, trials=tuple(replace(one, arm=name) for one in best.trials))

    def alike(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if one == best.name else one for one in names)

    def against(contrasts: tuple[Contrast, ...]) -> tuple[Contrast, ...]:
        return tuple(replace(one, first=alike((one.first,))[0]) for one in contrasts)

    return replace(
        made,
        arms=(arm, *made.arms[1:]),
        finals=against(made.finals),
        speeds=against(made.speeds),
        oscillations=against(made.oscillations),
        alike=alike(made.alike),
        alike_speed=alike(made.alike_speed),
    )


def without_losses(made: Comparison) -> Comparison:
    """Return the comparison of runs that have no history of their loss."""
    nothing = History(np.array([], dtype=np.int64), np.array([]))
    arms = [replace(arm, trials=tuple(replace(one, losses=nothing) for one in arm.trials)) for arm in made.arms]
    return replace(made, arms=tuple(arms))


def never_reached(made: Comparison) -> Comparison:
    """Return the comparison in which no run reached the target."""
    missed = {"steps_to_target": inf, "seconds_to_target": inf, "examples_to_target": inf}
    never = {name: Estimate(inf) for name in missed}
    arms = [
        replace(arm, trials=tuple(replace(one, **missed) for one in arm.trials), reached=0, **never)  # type: ignore[arg-type]
        for arm in made.arms
    ]
    return replace(made, arms=tuple(arms), target=0.999)


def all_diverged(made: Comparison) -> Comparison:
    """Return the comparison in which every run ended with an infinite loss."""

    def broken(one: Trial) -> Trial:
        count = min(30, len(one.losses.values))
        losses = History(one.losses.steps[:count], np.append(one.losses.values[: count - 1], inf))
        curve = History(one.curve.steps[:1], one.curve.values[:1])
        return replace(
            one, verdict="diverged", losses=losses, curve=curve, seconds=one.seconds[:1], examples=one.examples[:1],
            oscillation=None, ripple=nan, roughness=nan, climb_back=nan,
        )  # fmt: skip

    arms = [arm_of(arm.name, tuple(map(broken, arm.trials))) for arm in made.arms]
    return never_reached(replace(made, arms=tuple(arms), oscillations=()))


LAYERS = ("conv1", "conv2", "linear1", "linear2")


def _diagnostics(place: int, seed: int, last: int) -> dict[str, History]:
    """Return what the diagnostics of a run show: gradients that fall from the outputs to the images."""
    random = np.random.default_rng([place, seed])
    steps = np.unique(np.linspace(1, last, 16).astype(np.int64))
    falling = np.exp(-steps / last) * np.exp(0.2 * random.standard_normal(len(steps)))
    histories = {
        f"{quantity}/{layer}": History(steps, size * falling * (1 + depth) ** (1 + place % 3))
        for depth, layer in enumerate(LAYERS)
        for quantity, size in (("flow/grad_norm", 0.1), ("flow/update_ratio", 1e-3))
    }
    alphas = -0.5 + 0.2 * place + 0.3 * random.standard_normal(len(steps))
    return {
        **histories,
        "step/alpha": History(steps, alphas),
        "sharpness/eigenvalue": History(steps, 20 / falling),
        "sharpness/needle": History(steps, 0.3 / falling),
    }


def _trial(
    random: np.random.Generator, place: int, name: str, seed: int, steps: int, evaluations: int, criteria: int
) -> Trial:
    diverges = place == 4
    speed = SPEEDS[place % len(SPEEDS)] * random.uniform(0.9, 1.1)
    noise = (0.15, 0.12, 0.4, 0.15, 0.2)[place % 5]
    last = steps // 4 if diverges and seed % 2 else steps
    at = np.arange(last)
    losses = (2.3 * np.exp(-speed * at / steps) + 0.05) * np.exp(noise * random.standard_normal(last))
    if last < steps:
        losses[last // 2 :] *= np.exp(np.linspace(0, 12, last - last // 2))
        losses[-1] = inf
    when = np.unique(np.linspace(0, steps, evaluations).astype(np.int64))
    when = when[when <= last]
    wobble = (0.004, 0.003, 0.02, 0.004, 0.03)[place % 5] * random.standard_normal(len(when))
    top = (0.965, 0.95, 0.955, 0.963, 0.6)[place % 5]
    curve = np.clip(0.1 + (top - 0.1) * (1 - np.exp(-speed * when / steps)) + wobble, 0, 1)
    reached = np.flatnonzero(curve >= 0.9)
    late = curve[len(curve) // 2 :]
    enough = len(late) >= 8
    to_target = float(when[reached[0]]) if len(reached) else inf
    verdict = "diverged" if last < steps else "completed"
    rate = 10.0 if diverges else 10.0 ** -(1 + place % 3)
    criterion = ("CrossEntropyLoss", "MSELoss", "BCEWithLogitsLoss")[place % criteria]
    params = {
        "optimizer": name,
        "criterion": criterion,
        "lr": f"{rate:g}",
        "seed": str(seed),
        "data": "DigitsDataModule",
    }
    identity = f"{place:04x}{seed:04x}".ljust(32, "0")
    pace = (0.004, 0.003, 0.0032, 0.009, 0.003)[place % 5]
    return Trial(
        run=Run(identity, f"{name} seed={seed}", "FINISHED", params, {}, {}, histories=_diagnostics(place, seed, last)),
        arm=name,
        seed=str(seed),
        learning_rate=rate,
        verdict=verdict,
        curve=History(when, curve),
        seconds=np.asarray(pace * when * random.uniform(0.97, 1.03), dtype=np.float64),
        examples=np.asarray(64.0 * when, dtype=np.float64),
        losses=History(at.astype(np.int64), losses),
        steps_to_target=to_target,
        seconds_to_target=pace * to_target,
        examples_to_target=64 * to_target,
        final=float(curve[-2:].mean()),
        best=float(curve.max()),
        best_step=int(when[curve.argmax()]),
        area=float(curve.mean()),
        oscillation=Oscillation(float(late.std()), float(np.abs(np.diff(late)).mean()), float(curve.max() - curve[-1]),
                                float((np.diff(late) < -0.01).sum())) if enough else None,
        ripple=nan if diverges else noise / 10 * random.uniform(0.9, 1.1),
        roughness=roughness(when.astype(np.float64), curve),
        climb_back=nan if diverges else noise * random.uniform(0.9, 1.1),
        scores={} if criterion == "MSELoss" else {"val/nll": 0.2 + 0.02 * place},
    )  # fmt: skip


def _mean(values: list[float]) -> Estimate:
    known = [value for value in values if isfinite(value)]
    if not known:
        return Estimate(nan)
    half = 2.4 * float(np.std(known)) / len(known) ** 0.5 if len(known) > 1 else nan
    mean = float(np.mean(known))
    return Estimate(mean, mean - half, mean + half, len(known))


def _contrast(first: str, second: str, quantity: str, value: float, claimed: bool) -> Contrast:
    p = 0.004 if claimed else 0.31
    return Contrast(
        first, second, quantity, Estimate(value, 0.8 * value, 1.2 * value, 8), p, min(1, 2 * p),
        "paired t", 0.875, claimed, equivalent=False, seeds_needed=None if claimed else 21,
    )  # fmt: skip


def _sensitivity(random: np.random.Generator) -> tuple[Sensitivity, ...]:
    rates = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    found = []
    for family, finals, diverging in (
        ("adam", [0.93, 0.965, 0.95, 0.6, 0.3], 1.0),
        ("sgd_momentum", [0.5, 0.8, 0.94, 0.95, 0.2], 1.0),
        ("rmsprop", [0.94, 0.955, 0.9, 0.4, 0.1], nan),
    ):
        points = tuple(
            (float(rate), final + 0.01 * random.standard_normal(), "diverged" if rate >= diverging else "completed")
            for rate, final in zip(rates, finals, strict=True)
            for _ in range(2)
        )
        best = float(rates[int(np.argmax(finals))])
        window = (1e-4, 2e-2) if family != "sgd_momentum" else (5e-3, 0.2)
        found.append(
            Sensitivity(family, rates, np.array(finals), points, best, window, float(np.log10(window[1] / window[0])),
                        family != "sgd_momentum", False, diverging, float(np.log10(diverging / best)))
        )  # fmt: skip
    return tuple(found)


def _budgets() -> tuple[BudgetCurve, ...]:
    k = np.arange(1, 10, dtype=np.float64)
    return (
        BudgetCurve("adam", 0.965 - 0.2 / k**1.5),
        BudgetCurve("sgd_momentum", 0.955 - 0.12 / k),
        BudgetCurve("rmsprop", 0.958 - 0.25 / k),
    )
