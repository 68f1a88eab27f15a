"""The part of the page of results on the sweep, rendered from its JSON."""

from __future__ import annotations

from typing import Any

from benchmarks.reference import table


def sweep_study(study: dict[str, Any]) -> str:
    """Return the part on a fair comparison of four optimizers: what may be said, and the numbers behind it."""
    said = "\n".join(f"> {sentence}\n>" for sentence in study["words"]).removesuffix("\n>")
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

{study["data"]}, three epochs of batches of 64, the loss cross-entropy, one thread a trial; {study["runs"]} trainings.
Each optimizer was tuned at three rates over one decade, and at one more, since a best one lay at an end of its grid;
then the best rate of each was repeated with eight fresh seeds, five evaluations an epoch on 5,000 images held out. What
`lossopt compare` says of the repeats, word for word (target: {study["target_origin"]}):

{said}

{table(["arm", "seeds", "final accuracy", "steps to target", "nll", "ece", "accuracy on the test images"], arms)}
Final accuracy and scores: mean and 95 % interval over seeds; steps: median, and its interval where one can be given;
test images: mean ± deviation over seeds, of the state in which training ended.

![Validation accuracy against steps and seconds, four arms](pictures/sweep_cifar10_jpeg_metric.png)

Accuracy at each rate tried ({most - 1} for each; one seed each in the search, the repeats included at the best):

{table(["optimizer", *[""] * (most - 1)], rates)}
![Final accuracy against the learning rate, four optimizers](pictures/sweep_cifar10_jpeg_sensitivity.png)

{" ".join([*study["notes"], ""])}Seconds of training depend on what else the machine did: other work ran beside it.
Commands: `lossopt sweep --config benchmarks/sweep_cifar10_jpeg.yaml --data.folder=IMAGES`, then
`python -m benchmarks.sweep_study`.
"""


def _study_row(arm: dict[str, Any]) -> list[str]:
    steps, test = arm["steps_to_target"], arm["test_accuracy"]
    bounds = f" [{steps['low']:,.0f}, {steps['high']:,.0f}]" if steps["low"] and steps["high"] else ""
    reached = f"{steps['value']:,.0f}{bounds}" if steps["value"] else f"never ({arm['reached']} of {arm['n']} did)"
    return [
        arm["name"], str(arm["n"]), _within(arm["final"]), reached, _within(arm["scores"]["val/nll"]),
        _within(arm["scores"]["val/ece"]), f"{test['value']:.3f} ± {test['deviation']:.3f}" if test else "",
    ]  # fmt: skip


def _within(estimate: dict[str, Any]) -> str:
    if estimate["low"] is None:
        return _share(estimate["value"])
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
