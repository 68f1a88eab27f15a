"""The sweeps ``sweep_switch`` and ``sweep_finetune``, compared: words and numbers into JSON, their curves as PNG.

Run both plans first, in one folder: ``lossopt sweep --config sweep_switch --config image_folder --data.folder=IMAGES``,
where IMAGES is CIFAR-10 as a JPEG copy in the layout of image folders. Then ``python -m benchmarks.branches``.
"""

from __future__ import annotations

from benchmarks.sweep_study import study

PLANS = ("sweep_switch", "sweep_finetune")

if __name__ == "__main__":
    for plan in PLANS:
        study(plan, {"metric": plan})
