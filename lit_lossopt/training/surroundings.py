"""What a training changes of its process, and how it is put back.

A training of the command line has a process of its own. One that a program or a notebook calls has not.
"""

from __future__ import annotations

import os
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_ONE = threading.RLock()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let trainings of several threads wait for each other, and leave the process as it was.

    Seeds, threads and the standard output belong to the whole process. One thing stays: the process keeps the memory
    that it frees (``core.heap``).
    """
    with _ONE, warnings.catch_warnings(), ExitStack() as after:
        for restore in _kept():
            after.callback(restore)
        yield


def _kept() -> Iterator[Callable[[], Any]]:
    """Yield what puts back each thing that a training changes."""
    import jsonargparse
    import numpy as np
    import torch

    from lit_lossopt.training.numerics import restore_precision

    threads, shown = torch.get_num_threads(), warnings.formatwarning
    environment, parsing = dict(os.environ), dict(jsonargparse._common.parsing_settings)  # noqa: SLF001  # no public way
    yield lambda: torch.set_num_threads(threads)
    yield restore_precision()
    yield lambda: setattr(warnings, "formatwarning", shown)
    yield lambda: _put_back(os.environ, environment)
    yield lambda: _put_back(jsonargparse._common.parsing_settings, parsing)  # noqa: SLF001  # as above
    for keep, put_back in (
        (torch.get_rng_state, torch.set_rng_state),
        (np.random.get_state, np.random.set_state),  # what a person's own code may use
        (random.getstate, random.setstate),
    ):
        state: Any = keep()
        yield lambda put_back=put_back, state=state: put_back(state)  # type: ignore[misc]  # bound now


def _put_back(values: Any, before: dict[str, Any]) -> None:
    for name in set(values) - set(before):
        del values[name]
    values.update({name: value for name, value in before.items() if values.get(name) != value})
