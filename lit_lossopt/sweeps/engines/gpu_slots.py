"""Which GPU each worker sees.

The driver's own tool is asked. Nothing here touches a GPU or imports torch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.machine import cores
from lit_lossopt.sweeps.trial import Resources

VARIABLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus() -> list[str]:
    """Return the names of the GPUs in ``CUDA_VISIBLE_DEVICES``.

    They are the words of that variable, or 0, 1 and so on.
    """
    given = os.environ.get(VARIABLE)
    if given is not None:
        words = [word.strip() for word in given.split(",") if word.strip()]
        # As CUDA reads it: what comes behind a device that does not exist is not visible.
        return words[: words.index("-1")] if "-1" in words else words
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        said = subprocess.run([tool, "-L"], capture_output=True, check=True, timeout=30, text=True).stdout  # noqa: S603  # the driver's own
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in said.splitlines()))]


def usable_gpus() -> list[str]:
    """Return the visible GPUs that can be used.

    There are none if torch was built for none. Torch itself is neither asked nor imported.
    """
    try:
        without = version("torch").endswith("+cpu")
    except PackageNotFoundError:
        without = True
    return [] if without or shutil.which("nvidia-smi") is None else visible_gpus()


def share_of(given: float | None, accelerators: Collection[str]) -> float:
    """Return the share of a GPU that each trial takes.

    It is as given. Otherwise it is one, where there are GPUs and a trial may use them.

    Args:
        given: as typed; None: nothing was.
        accelerators: of the trials, as their settings have them.
    """
    if given is not None:
        return given
    return float(bool(set(accelerators) - {"cpu"} and usable_gpus()))


def accelerator_of(share: float) -> str:
    """Return what trials with this share train on.

    It is a word of ``trainer.accelerator``.

    Empty on a machine without GPUs: there ``auto`` means the CPU.
    """
    return ("gpu" if share else "cpu") if usable_gpus() else ""


def worker_environments(resources: Resources) -> list[dict[str, str]]:
    """Return the variables that give each worker its GPUs.

    A worker may have a share of a GPU.

    Several may share one: with ``gpus=0.5`` the first two workers see the first GPU. With ``gpus=0`` none sees any.

    Raises:
        UserError: there are fewer GPUs than the trials take.
    """
    share = resources.gpus
    if not share:
        return [{VARIABLE: ""}] * (resources.workers or max(1, cores() // resources.threads))
    gpus = visible_gpus()
    if share > 1 and share % 1:
        raise UserError(f"gpus={share:g}: a trial takes a share of one GPU, as 0.5, or whole ones")
    if share > len(gpus):
        raise UserError(f"gpus={share:g}: a trial would take more than the {len(gpus)} GPUs that are visible here")
    whole = max(1, int(share))
    groups = [",".join(gpus[start : start + whole]) for start in range(0, len(gpus) - whole + 1, whole)]
    # Rounding: three times a third is one.
    slots = [group for group in groups for _ in range(int(whole / share + 1e-9))]
    if resources.workers > len(slots):
        raise UserError(
            f"workers={resources.workers}: with gpus={share:g} for each trial, {len(gpus)} GPUs have room for "
            f"{len(slots)}; take fewer workers or a smaller share"
        )
    return [{VARIABLE: slot} for slot in slots[: resources.workers or len(slots)]]
