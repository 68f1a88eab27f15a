"""The part of the page of results on the sweep, rendered from its JSON."""

from __future__ import annotations

import math
from typing import Any

from scipy import special

from benchmarks.reference import table
from lit_lossopt.comparison.statistics.family import family_of_equals
from lit_lossopt.core.numbers import bracketed


def sweep_study(study: dict[str, Any]) -> str:
    """Return the part on a fair comparison of four optimizers: what may be said, and the numbers behind it."""
    arms = [_study_row(arm) for arm in study["arms"]]
    rates = [
        [
            one["family"],
            *(f"{rate:g}: {_share(final)}" for rate, final in zip(one["rates"], one["finals"], strict=True)),
        ]
        for one in study["sensitivity"]
    ]
    most = max(map(len, rates))
    rates = [[*row, *[""] * (most - len(row))] for row in rates]
    return f"""## Which optimizer, at which learning rate: a sweep

{study["data"]}, three epochs of batches of 64, cross-entropy as loss, one thread for each trial;
{study["runs"]} trainings.
Each optimizer was tuned at three rates over one decade, and at one more rate, since a best point lay at an end of its
grid. Then the best rate of each was repeated with eight fresh seeds, with five evaluations in each epoch on 5,000
held-out images (target: {study["target_origin"]}).

{table(["arm", "seeds", "final accuracy", "steps to target", "nll", "ece", "accuracy on the test images"], arms)}
Final accuracy and scores are the mean and its 95 % interval over seeds. Steps are the median, with its interval where
one can be given. The accuracy on the test images is the mean ± deviation over seeds, for the state in which training
ended.

{_decided_again(study)}
![Validation accuracy against steps and seconds, four arms](pictures/sweep_cifar10_jpeg_metric.png)

Accuracy at each rate tried ({most - 1} for each; one seed each in the search, the repeats included at the best):

{table(["optimizer", *[""] * (most - 1)], rates)}
![Final accuracy against the learning rate, four optimizers](pictures/sweep_cifar10_jpeg_sensitivity.png)

{" ".join([*study["notes"], ""])}Seconds of training depend on what else the machine did: other work ran beside it.
Commands: `lossopt sweep --config benchmarks/sweep_cifar10_jpeg.yaml --data.folder=IMAGES`, then
`python -m benchmarks.sweep_study`.
"""


def _decided_again(study: dict[str, Any]) -> str:
    """Return the table of differences, at the level that a page of so many arms and seeds has now."""
    arms, seeds = len(study["arms"]), study["arms"][0]["n"]
    whole = family_of_equals(arms, seeds, questions=3)
    wider = whole.critical_value(seeds) / float(special.stdtrit(seeds - 1, 0.975))
    rows = [_difference_row(one, wider) for one in study["contrasts"]]
    return f"""Differences, decided again. These runs are older than the probe loss, so oscillation is not compared.
They were compared with an interval for each difference alone. Here the intervals hold together, for all
{whole.comparisons} differences that a page of four arms can claim ([measures.md](measures.md)).

{table(["arms", "of", "difference", "verdict"], rows)}"""


def _difference_row(one: dict[str, Any], wider: float) -> list[str]:
    """Return a row with its interval made so many times as wide; ratios on their logarithms."""
    arms = f"{one['first']} against {one['second']}"
    found = one["difference"]
    if one["quantity"] == "final":
        half = wider * (found["high"] - found["low"]) / 2
        low, value, high = (100 * (found["value"] + sign * half) for sign in (-1, 0, 1))
        verdict = "better" if low > 0 else "cannot be told apart"
        return [arms, "final accuracy, points", f"{value:+.1f}{bracketed(low, high, '{:+.1f}'.format)}", verdict]
    if found["value"] is None:
        return [
            arms,
            "steps to target",
            "",
            "not decided again, since some runs never reached it",
        ]
    half = wider * math.log(found["high"] / found["low"]) / 2
    low, value, high = (found["value"] * math.exp(sign * half) for sign in (-1, 0, 1))
    verdict = "faster" if low > 1 else "cannot be told apart"
    return [arms, "steps to target, ratio", f"{value:.2f}×{bracketed(low, high, '{:.2f}'.format)}", verdict]


def _study_row(arm: dict[str, Any]) -> list[str]:
    steps, test = arm["steps_to_target"], arm["test_accuracy"]
    bounds = bracketed(steps["low"], steps["high"], "{:,.0f}".format) if steps["low"] and steps["high"] else ""
    reached = f"{steps['value']:,.0f}{bounds}" if steps["value"] else f"never ({arm['reached']} of {arm['n']} did)"
    return [
        arm["name"], str(arm["n"]), _within(arm["final"]), reached, _within(arm["scores"]["val/nll"]),
        _within(arm["scores"]["val/ece"]), f"{test['value']:.3f} ± {test['deviation']:.3f}" if test else "",
    ]  # fmt: skip


def _within(estimate: dict[str, Any]) -> str:
    if estimate["low"] is None:
        return _share(estimate["value"])
    return f"{estimate['value']:.3f}{bracketed(estimate['low'], estimate['high'], '{:.3f}'.format)}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
