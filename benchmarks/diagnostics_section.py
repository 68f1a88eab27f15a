"""The measured parts of the page on diagnostics."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.reference import table
from lit_lossopt.core.numbers import per_cent, significant
from lit_lossopt.diagnostics.request import BUNDLES


def edge_section(found: Mapping[str, Any]) -> str:
    """Return the table of what the needle says under full-batch descent."""
    rows = [
        [
            f"{arm['rate']:g}",
            f"{arm['momentum']:g}",
            f"{arm['needle_second_half']:.2f}",
            per_cent(arm["steps_that_raise_the_loss"]),
        ]
        for arm in found["arms"]
    ]
    heads = ["rate", "momentum", "needle, median of the second half", "measured steps there that raise the loss"]
    return f"""{table(heads, rows)}
{found["steps"]:,} steps, {found["images"]:,} images in each. Made by `python -m benchmarks.edge_of_stability`, by

    {found["arms"][0]["command"]}"""


def geometry_section(found: Mapping[str, Any]) -> str:
    """Return a table for each kind of images."""
    parts = []
    for data, arms in found["data"].items():
        rows = [
            [
                arm["arm"], str(arm["runs"]), _number(arm["alpha"]), per_cent(arm["raised"]),
                _number(arm["climb_back"]), _number(arm["ripple"]), f"{100 * arm['final']:.1f} %",
            ]
            for arm in arms
        ]  # fmt: skip
        heads = ["arm", "runs", "α", "steps that raise their own loss", "climb-back", "ripple", "final accuracy"]
        parts.append(f"**{data[:1].upper()}{data[1:]}**\n\n{table(heads, rows)}")
    return f"""α is the median over the measured steps of a run, and then over the runs. Climb-back and ripple are in
[measures.md](measures.md). Made by `python -m benchmarks.step_geometry FOLDER`, one thread, the rates of the shipped
configs. This is **no comparison of optimizers**, since their rates are not tuned.

{"".join(parts)}"""


def costs_section(found: Mapping[str, Any], ratios: Callable[[dict[str, Any], str], str]) -> str:
    """Return the table of costs, beside those that Cockpit's authors published."""
    published = {"alpha": "α: 1.5", "sharpness": "top eigenvalue: 71"}
    rows = [
        [f"`{name}`", _bundles(name), f"{statistics.median(costs):.2f}", published.get(name, "")]
        for name, costs in found["steps_a_measurement"].items()
    ]
    heads = ["quantity", "in", "steps that a measurement costs", "Cockpit on 3c3d"]
    share = found["ratios"][-1]["median"]
    cost, most, least = (100 * (1 / found["ratios"][-1][end] - 1) for end in ("median", "low", "high"))
    economy = found["cockpit"]["economy every 64 steps"]
    return f"""MiniCNN on 32×32 images, batch 64, one thread, processor time. A step with a measurement takes one step
and as much more as the table says. Cockpit's authors published runtimes on a CPU for another network (3c3d), as
multiples of a plain step: 2.5 with α and 72 with the top eigenvalue, so 1.5 and 71 more. Their economy configuration
every 64 steps takes {economy} times a plain run. Here `flow`, `activations` and `alpha` share their passes where they
are measured at the same step.

{table(heads, rows)}
The default bundle and the probe loss together, in the first {found["window_steps"]} steps of a run of
{found["planned_steps"]:,}. Other programs were running on the machine, so only the last two rows tell. The last one is
for the whole run, computed from what each part costs in the window. In four digits it is {share:.4f}, so that both cost
{cost:.2f} % of a plain run, from {least:.2f} to {most:.2f} % over the repetitions.

{ratios(dict(found), "python -m benchmarks.diagnostics")}"""


def _bundles(name: str) -> str:
    return (
        ", ".join(
            f"`{bundle}`" for bundle, names in BUNDLES.items() if name in [one.partition("@")[0] for one in names]
        )
        or "on request"
    )


def _number(value: float) -> str:
    return significant(value, 2)
