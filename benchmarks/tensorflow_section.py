"""The measured parts of the page on TensorFlow."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.reference import table
from lit_lossopt.core.numbers import difference
from lit_lossopt.keras_twin.explaining.differences import DIFFERENCES

COLUMNS = ("defaults", "matched", "torch's rule")
Found = Mapping[str, Any]


def chapter_section(found: Found) -> str:
    """Return the chapter's table with a measured column."""
    gaps = {(gap["loss"], gap["optimizer"], gap["column"]): gap for gap in found["digits"]}
    first = max(gap["first_loss"] for gap in found["digits"])
    sgd = gaps["CrossEntropyLoss", "SGD", "matched"]["early"]
    adam = [difference(gaps["CrossEntropyLoss", "Adam", column]["early"]) for column in COLUMNS]
    rows = [
        ["loss function", "`nn.CrossEntropyLoss()`", "`SparseCategoricalCrossentropy(from_logits=True)`",
         f"first losses of all pairs differ by at most {difference(first)}"],
        ["loss with logits", "built in", "`from_logits=True`",
         "without it Keras looks for the logits behind a last softmax, and else clips the loss at 16.1 (−log 1e-7)"],
        ["optimizer", "`optim.Adam(...)`", "`keras.optimizers.Adam(...)`",
         (f"{adam[0]} apart within {found['steps']} steps by default, {adam[1]} with the same settings, {adam[2]} by "
          "torch's rule")],
        ["update weights", "`loss.backward()`, `optimizer.step()`", "`GradientTape()`, `optimizer.apply(...)`",
         f"with SGD at one rate they agree to {difference(sgd)}"],
        ["zero gradients", "`optimizer.zero_grad()`", "not needed: a tape holds one step",
         f"left out, gradients add up: the second of two equal ones is {found['zero_gradients']:.0f} times as large"],
    ]  # fmt: skip
    return table(["component", "PyTorch", "TensorFlow", "measured"], rows)


def check_section(found: Found) -> str:
    """Return the differences of all pairs."""
    steps, growth = found["steps"], found["growth"]
    parts = []
    for loss in dict.fromkeys(gap["loss"] for gap in found["digits"]):
        rows = [
            _row(optimizer, loss, found) for optimizer in dict.fromkeys(gap["optimizer"] for gap in found["digits"])
        ]
        heads = ["optimizer", "defaults", "settings matched", "torch's rule", f"… at step {growth}", "… 32×32 pixels"]
        parts.append(f"**{loss}**\n\n{table(heads, rows)}")
    both = [*found["digits"], *found["colour"]]
    worst = max(gap["early"] for gap in both if gap["column"] == COLUMNS[2])
    count = len(parts) * len(rows) * 2
    return (
        f"The largest difference within {steps} steps on the digits, in double precision. By torch's rule the largest "
        f"of all {count} pairs is {difference(worst)}.\n\n" + "\n".join(parts)
    )


def explain_section(found: Found) -> str:
    """Return what makes the gaps."""
    parts = []
    for config, cases in found["explained"].items():
        for case, tree in cases.items():
            rows = [[share["name"], _share(share["explains"]), _share(share["alone"])] for share in tree["shares"]]
            parts.append(
                f"`{config}` on the digits, {case}: a mean difference of {tree['gap']:.2g} over {len(tree['rates'])} "
                f"steps.\n\n{table(['difference', 'explains', 'alone'], rows)}{_control(tree['reseeded'])}"
            )
    return "\n".join(parts)


def _control(reseeded: float | None) -> str:
    if reseeded is None:
        return ""
    return f"\nThe initialisation is one draw: another seed of torch's own initial weights makes {_share(reseeded)}.\n"


def known_section() -> str:
    """Return the table of known differences."""
    rows = [[one.name, one.torch, one.keras, f"`{one.in_keras}`", f"`{one.in_torch}`"] for one in DIFFERENCES]
    return table(["difference", "torch", "Keras", "write in Keras", "write in torch"], rows)


def study_section(study: Found, found: Found) -> str:
    """Return how both end on real images, and what a step takes."""
    rows = [[arm["framework"], str(len(arm["accuracy"])), _mean(arm["accuracy"], 100)] for arm in study["arms"]]
    by_step = dict(zip((1, 10, 100), study["first_losses"], strict=False))
    speed, times = found["speed"]["ratio"], study["seconds_ratio"]
    sentences = [words for words in study["words"] if "equivalent" in words]
    heads = ["framework", "runs", "validation accuracy, % (standard deviation)"]
    return f"""{table(heads, rows)}
{study["data"]}, Adam at 1e-3, two epochs, the same seeds, order, initial weights and dropout. {" ".join(sentences)}

Losses of one step differ by at most {by_step[1]:.0e} at the first step, {by_step[10]:.0e} up to the tenth and
{by_step[100]:.0e} up to the hundredth: rounding in 32 bits, which training makes grow.

One step of TensorFlow takes {speed["median"]:.2f} of the processor time of torch's ({speed["low"]:.2f} to
{speed["high"]:.2f}, {speed["repeats"]} repetitions side by side; MiniCNN, 64 images of 32×32, Adam, one thread). In the
runs above, which ran one after the other beside other work, training in TensorFlow took {times["median"]:.2f} of
torch's time in the median of eight pairs ({times["low"]:.2f} to {times["high"]:.2f}). The import of TensorFlow comes on
top."""


def _row(optimizer: str, loss: str, found: Found) -> list[str]:
    def cell(images: str, column: str, which: str) -> str:
        gaps = [
            gap for gap in found[images] if (gap["loss"], gap["optimizer"], gap["column"]) == (loss, optimizer, column)
        ]
        return difference(gaps[0][which])

    return [
        optimizer,
        *(cell("digits", column, "early") for column in COLUMNS),
        cell("digits", COLUMNS[2], "last"),
        cell("colour", COLUMNS[2], "early"),
    ]


def _share(value: float) -> str:
    if abs(value) < 1e-3:
        return "0" if value == 0 else "< 0.1 %"
    return (f"{100 * value:.0f} %" if abs(value) >= 0.1 else f"{100 * value:.2g} %").replace("-", "−")


def _mean(values: Sequence[float], scale: float) -> str:
    return f"{scale * statistics.fmean(values):.1f} ({scale * statistics.stdev(values):.1f})"
