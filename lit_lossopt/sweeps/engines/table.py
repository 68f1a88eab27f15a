"""The engines of a sweep by name.

A new engine is one class in a file of its own, and one row of ``ENGINES``. The class is imported only when it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lit_lossopt.sweeps.engines.gpu_slots import cores, worker_environments
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
        build: makes the engine.
        at_once: how many trials will run at once, as far as can be told before.
        stops_trials: whether it can stop a trial that takes too long.
    """

    build: Callable[[Wishes], Engine]
    at_once: Callable[[Resources], int]
    stops_trials: bool = True


def _local(wishes: Wishes) -> Engine:
    from lit_lossopt.sweeps.engines.local import LocalEngine

    return LocalEngine(wishes.resources, wishes.seconds)


def _ray(wishes: Wishes) -> Engine:
    from lit_lossopt.sweeps.engines.ray_engine import RayEngine

    return RayEngine(wishes.resources, wishes.ray_address, wishes.seconds)


def _here(wishes: Wishes) -> Engine:
    from lit_lossopt.sweeps.engines.in_process import InProcessEngine

    return InProcessEngine(wishes.main)


ENGINES = {
    "local": Kind(_local, lambda resources: len(worker_environments(resources))),
    "ray": Kind(_ray, lambda resources: resources.workers or max(1, cores() // resources.threads)),
    "here": Kind(_here, lambda _: 1, stops_trials=False),
}
