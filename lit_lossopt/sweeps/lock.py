"""One sweep of an experiment at a time.

This holds on one machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.files import lock_file

FOLDER = "mlruns/sweeps"


@contextmanager
def alone(experiment: str) -> Iterator[None]:
    """Hold the experiment's lock.

    It goes with the process, however that ends.

    Raises:
        UserError: another sweep holds it, or the folder cannot be written.
    """
    path = Path(FOLDER) / f"{experiment}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UserError(f"{path.absolute()}: the sweep's lock cannot be written ({error.strerror})") from error

    def busy(process: str) -> None:
        raise UserError(
            f"a sweep of experiment {experiment!r} is running in this folder (process {process or 'unknown'}); "
            "wait for it, end it, or take another --tracking.experiment"
        )

    with lock_file(path, busy):
        yield
