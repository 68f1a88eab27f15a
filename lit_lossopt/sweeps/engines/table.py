"""The engines of a sweep by name.

A new engine is one class in a file of its own, with a function ``build``, and one row of ``ENGINES``. The file is
imported only when it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from lit_lossopt.core.machine import cores
from lit_lossopt.sweeps.engines.gpu_slots import worker_environments
from lit_lossopt.sweeps.trial import Engine, Resources


@dataclass(frozen=True)
class Wishes:
    """What a person wants of an engine.

    Attributes:
        resources: what it may use.
        seconds: what a trial may take. None: as long as it needs.
        ray_address: of a running Ray cluster. Empty: one is started.
        main: runs the words of a command in this process, and returns its exit status.
    """

    resources: Resources
    seconds: float | None
    ray_address: str
    main: Callable[[list[str]], int]


@dataclass(frozen=True)
class Kind:
    """One kind of engine.

    Attributes:
        build: the function that makes the engine of ``Wishes``, as ``module:function``.
        line: where it runs trials, for the help.
        at_once: how many trials will run at once, as far as can be told before.
        stops_trials: whether it can stop a trial that takes too long.
    """

    build: str
    line: str
    at_once: Callable[[Resources], int]
    stops_trials: bool = True


ENGINES = {
    "local": Kind(
        "lit_lossopt.sweeps.engines.local:build",
        "processes of this machine",
        lambda resources: len(worker_environments(resources)),
    ),
    "ray": Kind(
        "lit_lossopt.sweeps.engines.ray_engine:build",
        "a Ray cluster",
        lambda resources: resources.workers or max(1, cores() // resources.threads),
    ),
    "here": Kind(
        "lit_lossopt.sweeps.engines.in_process:build",
        "this process, one by one",
        lambda _: 1,
        stops_trials=False,
    ),
}


def build_engine(name: str, wishes: Wishes) -> Engine:
    """Return the engine of this name."""
    module, _, function = ENGINES[name].build.partition(":")
    engine: Engine = getattr(importlib.import_module(module), function)(wishes)
    return engine
