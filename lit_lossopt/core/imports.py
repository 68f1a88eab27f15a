"""Imports of large libraries, in three quarters of the time.

Python looks for garbage whenever enough objects were made. An import makes a million of them, and all of them stay. So
nothing is looked for meanwhile, and never among them afterwards.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage within a block."""
    looks = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looks:
            gc.enable()


def import_for_good(name: str) -> ModuleType:
    """Return a module, imported if need be, whose objects are never looked at for garbage.

    >>> import_for_good("json").dumps({})
    '{}'
    """
    if name in sys.modules:
        return sys.modules[name]
    with uncollected():
        module = importlib.import_module(name)
        # Otherwise the next look would be at all of them.
        gc.freeze()
    return module
