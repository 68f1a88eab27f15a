"""Which loss, which optimizer, at which learning rate.

Controlled experiments on a small CNN answer it. Every step is kept.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lit_lossopt.core.version import __version__

if TYPE_CHECKING:
    from lit_lossopt.api import compare, fit, sweep
    from lit_lossopt.comparison.notebook import Comparison, Run
    from lit_lossopt.core.errors import UserError
    from lit_lossopt.inference.classifier import TrainedClassifier
    from lit_lossopt.inference.load import load

__all__ = [
    "Comparison",
    "Run",
    "TrainedClassifier",
    "UserError",
    "__version__",
    "compare",
    "fit",
    "load",
    "sweep",
]
_LAZY = {
    "Comparison": "lit_lossopt.comparison.notebook",
    "Run": "lit_lossopt.comparison.notebook",
    "TrainedClassifier": "lit_lossopt.inference.classifier",
    "UserError": "lit_lossopt.core.errors",
    "compare": "lit_lossopt.api",
    "fit": "lit_lossopt.api",
    "load": "lit_lossopt.inference.load",
    "sweep": "lit_lossopt.api",
}


def __getattr__(name: str) -> Any:
    """Import what a program asks for where it is first asked for.

    The command line must answer at once.
    """
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
