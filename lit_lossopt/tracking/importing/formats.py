"""The table of formats.

A new format is one module and one row. Of those that fit a file the first counts.
"""

from __future__ import annotations

from lit_lossopt.tracking.importing import keras_log, lightning_csv, table_csv, tensorboard_events, wandb_export
from lit_lossopt.tracking.importing.records import Format

TABLE = table_csv.FORMAT
FORMATS: tuple[Format, ...] = (
    lightning_csv.FORMAT,
    tensorboard_events.FORMAT,
    keras_log.CSV,
    keras_log.HISTORY,
    wandb_export.CHART,
    wandb_export.HISTORY,
    TABLE,
)


def format_of(name: str) -> Format:
    """Return the format of a name.

    >>> format_of("tensorboard").name
    'tensorboard'
    """
    return next(one for one in FORMATS if one.name == name)
