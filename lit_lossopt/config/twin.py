"""The settings that only the command ``twin`` has.

It trains in TensorFlow what ``fit`` trains in torch, and takes the same settings besides.
"""

from __future__ import annotations

# The command, and its group of settings.
TWIN = "twin"
# Setting → what it can be, the default first.
TWIN_CHOICES = {"rule": ("keras", "torch"), "dropout": ("own", "shared")}
TWIN_DEFAULTS = {name: known[0] for name, known in TWIN_CHOICES.items()}
# It takes the settings of both.
EXPLAIN = "explain"
# Frameworks as a plan names them, and the command that trains in each.
COMMANDS = {"pytorch": "fit", "tensorflow": TWIN}


def trainer_method(command: str) -> str:
    """Return the method of the Trainer that a command calls.

    >>> trainer_method("twin"), trainer_method("test")
    ('fit', 'test')
    """
    return "fit" if command in (TWIN, EXPLAIN) else command
