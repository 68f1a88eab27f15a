"""Which loss, which optimizer, at which learning rate.

Controlled experiments on a small CNN answer it. Every step is kept.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lit_lossopt.core.version import __version__

if TYPE_CHECKING:
    from lit_lossopt.inference.classifier import TrainedClassifier
    from lit_lossopt.inference.load import load

__all__ = ["TrainedClassifier", "__version__", "load"]
_LAZY = {"TrainedClassifier": "lit_lossopt.inference.classifier", "load": "lit_lossopt.inference.load"}


def __getattr__(name: str) -> Any:
    """Import what loads trained networks where it is first asked for.

    The command line must answer at once.
    """
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
