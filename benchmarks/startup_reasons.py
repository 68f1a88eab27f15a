"""What is imported on the way to the first step of a training, and why.

``python -m benchmarks.startup`` measures each. ``tests/training/test_startup.py`` keeps everything else away.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

UNKNOWN = "no reason known"
# Nobody here asks for these. Lightning imports torchmetrics to read its version, and that imports all of its metrics.
_TORCHMETRICS = "torchmetrics imports it, although no metric here uses it"
_PYPLOT = "matplotlib imports it"
_COMPILER = "torch imports its compiler with the first optimizer, compiled or not"
# Package → why.
REASONS = {
    "torch": "trains; about half of it is its compiler, which it imports with the first optimizer, compiled or not",
    "lightning": "the Trainer and its command line",
    "lightning_utilities": "Lightning imports it",
    "torchmetrics": "accuracy and calibration; Lightning imports it in any case, and with it all of its metrics",
    "torchvision": "networks to fine-tune, transforms; torchmetrics imports it in any case",
    "scipy": _TORCHMETRICS,
    "matplotlib": "torchmetrics imports it; a run's pictures are drawn with it at the end",
    "mpl_toolkits": _PYPLOT,
    "cycler": _PYPLOT,
    "kiwisolver": _PYPLOT,
    "pyparsing": _PYPLOT,
    "dateutil": _PYPLOT,
    "six": _PYPLOT,
    "fontTools": _PYPLOT,
    "sympy": _COMPILER,
    "mpmath": _COMPILER,
    "triton": _COMPILER,
    "optree": _COMPILER,
    "cuda": "torch imports it to look for GPUs",
    "torchgen": "torch imports it",
    "opt_einsum": "torch imports it",
    "numpy": "images and labels as arrays; torch imports it in any case",
    "charset_normalizer": "numpy's f2py imports it, and scipy.signal imports that",
    "PIL": "decodes images; torchvision imports it in any case",
    "jsonargparse": "the parser of settings",
    "docstring_parser": "jsonargparse reads the help of settings with it",
    "typeshed_client": "jsonargparse reads signatures with it",
    "attr": "jsonargparse imports it",
    "attrs": "jsonargparse imports it",
    "yaml": "reads configs",
    "fsspec": "Lightning imports it",
    "rich": "Lightning imports it with its progress bars",
    "tqdm": "the bar of a training; torch imports it in any case",
    "packaging": "Lightning compares versions with it",
    "typing_extensions": "torch imports it",
    "filelock": "locks of journals and checkpoints",
    "lit_lossopt": "this program",
}


def packages(modules: Iterable[str]) -> set[str]:
    """Return the top-level packages of modules, without Python's own and without the hidden parts of others.

    >>> sorted(packages(["json.decoder", "torch.nn", "_cyutility", "numpy"]))
    ['numpy', 'torch']
    """
    tops = {name.partition(".")[0] for name in modules}
    hidden = {name for name in tops if name.startswith("_")} | {"cython_runtime"}
    return tops - set(sys.stdlib_module_names) - hidden


def reason(package: str) -> str:
    """Return why a package is imported."""
    return REASONS.get(package, UNKNOWN)
