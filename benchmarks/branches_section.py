"""The parts of the page of results on branches and on fine-tuning, rendered from their JSON."""

from __future__ import annotations

from typing import Any

from benchmarks.reference import table
from lit_lossopt.core.numbers import bracketed


def switch_section(study: dict[str, Any]) -> str:
    """Return the part on moving from one optimizer to another on the way."""
    return f"""## Does it help to move from Adam to momentum?

The plan `sweep_switch` on the same images, three epochs of 704 steps: Adam throughout, momentum throughout, and
Adam whose last two thirds or last third are momentum's ([branches.md](branches.md)). Every arm's rate was tuned at
three values or more, and that of the switched arms is the rate after the switch. Then each winner was repeated with
five fresh seeds. A switched run begins from Adam's run of its seed, so the pairs share everything before.

{_answer(study)}
![Validation accuracy against steps: Adam, momentum, and two branches from Adam to momentum](pictures/sweep_switch.png)

Commands: `lossopt sweep --config sweep_switch --config image_folder --data.folder=IMAGES`, then `python -m
benchmarks.branches`.
"""


def finetune_section(study: dict[str, Any]) -> str:
    """Return the part on fine-tuning."""
    return f"""## What fine-tunes best?

The plan `sweep_finetune` on the same images. MiniCNN is trained on eight classes for three epochs with Adam, and
then for three epochs on cat against dog, which it has never seen (9,000 training and 1,000 held-out images). Its
layers in front of the head are frozen, learn ten times slower than the head, learn alike, or begin from scratch.
Every arm was tuned at three rates or more, and repeated with five fresh seeds, each with a first training of its
own.

{_answer(study)}
![Validation accuracy against steps: three optimizers, four ways to treat the backbone](pictures/sweep_finetune.png)

Commands: `lossopt sweep --config sweep_finetune --config image_folder --data.folder=IMAGES`, then `python -m
benchmarks.branches`.
"""


def _answer(study: dict[str, Any]) -> str:
    rows = [_row(arm) for arm in study["arms"]]
    words = "\n>\n".join(f"> {sentence}" for sentence in study["words"])
    notes = " ".join(study["notes"])
    return f"""What the comparison says, word for word:

{words}

{table(["arm", "seeds", "final accuracy", "steps to target"], rows)}
Target: {study["target_origin"]}. Final accuracy is the mean over seeds with its 95 % interval, and
steps are the median. {notes}
"""


def _row(arm: dict[str, Any]) -> list[str]:
    final, steps = arm["final"], arm["steps_to_target"]
    reached = f"{steps['value']:,.0f}" if steps["value"] else "never"
    if arm["reached"] < arm["n"]:
        reached += f" ({arm['reached']} of {arm['n']} reached it)"
    bounds = "" if final["low"] is None else bracketed(final["low"], final["high"], "{:.3f}".format)
    return [arm["name"], str(arm["n"]), f"{final['value']:.3f}{bounds}", reached]
