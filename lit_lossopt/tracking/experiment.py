"""Names of MLflow experiments.

Each is also a folder below ``mlruns``.
"""

from __future__ import annotations

import re

from lit_lossopt.core.errors import UserError

# Folders beside those of the experiments.
_TAKEN = ("journal", "unsent", "output", "sweeps")
_NOT_IN_NAMES = re.compile(r"[^\w\-. :]")


def check_experiment(name: str) -> None:
    """Refuse an experiment's name that cannot name a folder.

    Raises:
        UserError: the message says which names will do.
    """
    if name in _TAKEN or _NOT_IN_NAMES.search(name) or name.strip(". ") == "":
        raise UserError(
            f"tracking.experiment={name}: it names a folder below mlruns; take letters, digits, - and _ (not "
            f"{', '.join(_TAKEN)})"
        )
