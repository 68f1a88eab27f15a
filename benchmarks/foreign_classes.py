"""Optimizers and losses of other packages, each trained for a few steps on the embedded digits, or refused.

A class passes if it trains, or if it is refused in one line before a run exists. Nothing else may happen.

Run, where the packages of ``PACKAGES`` are installed: ``python -m benchmarks.foreign_classes`` (half an hour);
``python -m benchmarks.foreign_classes timm.optim`` tries one and prints what it finds.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.harness import machine, write_json
from lit_lossopt.losses import LossContract, class_indices, one_hot, one_per_class, register_loss, softmax
from lit_lossopt.tracking.store_process import kept_process

STEPS = 12
FIT = (
    "fit", "--data=DigitsDataModule", "--threads=1", f"--trainer.max_steps={STEPS}",
    "--trainer.enable_progress_bar=false",
    "--probe.images=0", "--model.network.channels=[4,8]", "--model.network.hidden=16",
)  # fmt: skip
# For arguments without a default.
GIVEN = {
    "lr": "1e-3", "num_classes": "10", "embedding_size": "10", "classes": "10", "n_classes": "10", "mode": "multiclass",
    "smooth_factor": "0.1", "margin": "0.1", "scale": "16", "num_negatives": "3", "gamma": "2", "alpha": "0.5",
    "centers_per_class": "2", "normalize": "true",
}  # fmt: skip
CONTRACTS = {"class indices": class_indices, "one hot": one_hot}
DIVERGED, REFUSED = 3, 2


@dataclass(frozen=True)
class Package:
    """A package to try.

    Attributes:
        distribution: its name in the index.
        module: where its classes are.
        kind: ``optimizer`` or ``criterion``.
    """

    distribution: str
    module: str
    kind: str


PACKAGES = (
    Package("pytorch_optimizer", "pytorch_optimizer", "optimizer"),
    Package("torch-optimizer", "torch_optimizer", "optimizer"),
    Package("timm", "timm.optim", "optimizer"),
    Package("schedulefree", "schedulefree", "optimizer"),
    Package("lion-pytorch", "lion_pytorch", "optimizer"),
    Package("prodigyopt", "prodigyopt", "optimizer"),
    Package("adabelief-pytorch", "adabelief_pytorch", "optimizer"),
    Package("dadaptation", "dadaptation", "optimizer"),
    Package("came-pytorch", "came_pytorch", "optimizer"),
    Package("bitsandbytes", "bitsandbytes.optim", "optimizer"),
    Package("heavyball", "heavyball", "optimizer"),
    Package("adan-pytorch", "adan_pytorch", "optimizer"),
    Package("sophia-opt", "sophia_opt", "optimizer"),
    Package("pytorch-metric-learning", "pytorch_metric_learning.losses", "criterion"),
    Package("timm", "timm.loss", "criterion"),
    Package("kornia", "kornia.losses", "criterion"),
    Package("monai", "monai.losses", "criterion"),
    Package("balanced-loss", "balanced_loss", "criterion"),
    Package("pytorch_optimizer", "pytorch_optimizer.loss", "criterion"),
)


def main(words: list[str]) -> None:
    """Try every package in a process of its own, and write ``results/foreign_classes.json``; or try one."""
    if words:
        (package,) = [one for one in PACKAGES if one.module == words[0]]
        print(json.dumps(tried(package)))
        return
    found = [outcome for package in PACKAGES if (outcome := _in_process(package))]
    content = {"machine": machine(), "command": f"lossopt {' '.join(FIT)}", "packages": found}
    print(write_json("foreign_classes", content))


def _in_process(package: Package) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "benchmarks.foreign_classes", package.module]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    print(package.module, done.returncode, done.stderr.strip()[-300:], flush=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def tried(package: Package) -> dict[str, Any]:
    """Return how each class of a package fared."""
    names = sorted(_classes(package))
    outcomes = {}
    # One process that writes to the store, for each would import MLflow anew.
    with kept_process(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        for name in names:
            outcomes[name] = _outcome(package, name)
            print(name, outcomes[name], file=sys.stderr, flush=True)
    return {
        "distribution": package.distribution,
        "version": version(package.distribution),
        "module": package.module,
        "kind": package.kind,
        "outcomes": outcomes,
    }


def _classes(package: Package) -> Iterator[str]:
    """Yield the public names of a package's optimizers or losses."""
    module = importlib.import_module(package.module)
    base = torch.optim.Optimizer if package.kind == "optimizer" else nn.Module
    for name, value in vars(module).items():
        own = inspect.isclass(value) and issubclass(value, base) and not name.startswith("_")
        if own and value.__module__.partition(".")[0] == package.module.partition(".")[0]:
            yield name


def _outcome(package: Package, name: str) -> dict[str, str]:
    """Return what became of one class: ``works``, ``diverges``, ``refused`` or ``crashed``, and why."""
    path = f"{package.module}.{name}"
    words = [f"--model.{package.kind}={path}", f"--allow-import={package.module.partition('.')[0]}"]
    words += _arguments(package, name)
    if package.kind == "optimizer":
        return _fit(words)
    loss = getattr(importlib.import_module(package.module), name)
    found = {}
    for targets, encode in CONTRACTS.items():
        register_loss(loss, LossContract(encode, one_per_class, softmax))
        found[targets] = _fit(words)
        if found[targets]["outcome"] != "refused":
            return {**found[targets], "targets": targets}
    return found["class indices"]


def _arguments(package: Package, name: str) -> list[str]:
    """Return flags for the arguments that a class has no default for, as far as they are known."""
    classes = getattr(importlib.import_module(package.module), name).__mro__
    parameters = {
        one.name: one.default
        for kind in reversed(classes)
        if "__init__" in vars(kind)
        for one in inspect.signature(kind.__init__).parameters.values()
    }
    missing = [
        argument
        for argument, default in parameters.items()
        if (default is inspect.Parameter.empty or (argument == "lr" and not isinstance(default, float)))
        and argument in GIVEN
    ]
    words = [f"--model.{package.kind}.{argument}={GIVEN[argument]}" for argument in missing]
    return [*words, *(["--model.criterion.reduction=mean"] if parameters.get("reduction") == "none" else [])]


def _fit(words: list[str]) -> dict[str, str]:
    from lit_lossopt.__main__ import main as lossopt

    said, before = io.StringIO(), _runs()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = lossopt([*FIT, *words])
    except BaseException as error:  # noqa: BLE001  # this is what must not happen
        return {"outcome": "crashed", "reason": f"{type(error).__name__}: {error}"}
    reason = said.getvalue().strip()
    if status in (0, DIVERGED):
        return {"outcome": "diverges" if status else "works", **({"reason": reason} if status else {})}
    fine = status == REFUSED and reason.count("\n") == 0 and _runs() == before
    return {"outcome": "refused", "reason": reason} if fine else {"outcome": "crashed", "reason": f"{status}: {reason}"}


def _runs() -> int:
    """Return how many runs there are."""
    return len(list(Path("mlruns").glob("journal/*/log.jsonl")))


if __name__ == "__main__":
    main(sys.argv[1:])
