"""A scratch folder in which a training finds all that it finds here, and leaves nothing here.

Relative paths of a recorded command line mean files around the working folder. So the mirror has links to everything in
the working folder, and in each folder above it, at the same places. Only the store and ``mlruns`` are its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import pathname2url

from lit_lossopt.core import names

_STORE = "mlflow.db"
# Parts of mlruns that a training writes, and that are not shared with this folder.
_OWN = {Path(names.JOURNAL_FOLDER).name, Path(names.OUTPUT_FOLDER).name}


@contextmanager
def mirrored_folder() -> Iterator[Path]:
    """Work in a mirror of the working folder, with a store of its own, until the block ends.

    The mirror is removed at the end, with all that was written there.

    Yields:
        The mirror of the working folder.
    """
    here = Path.cwd().absolute()
    with tempfile.TemporaryDirectory(prefix="lossopt-verify-", ignore_cleanup_errors=True) as temporary:
        folder = _mirror(here, Path(temporary))
        store = f"sqlite:///{pathname2url(str(folder / _STORE))}"
        with contextlib.chdir(folder), _variable("MLFLOW_TRACKING_URI", store):
            yield folder


def _mirror(here: Path, root: Path) -> Path:
    inside = root
    for folder, below in itertools.pairwise((*reversed(here.parents), here)):
        _link(folder, inside, {below.name})
        inside = inside / below.name
        inside.mkdir()
    own = {item.name for item in here.iterdir() if item.name.startswith(_STORE)}
    _link(here, inside, {names.RUNS_FOLDER, *own})
    _mirror_runs(here / names.RUNS_FOLDER, inside / names.RUNS_FOLDER)
    return inside


def _link(source: Path, target: Path, left_out: Collection[str] = ()) -> None:
    """Link everything in a folder, but for what is mirrored itself."""
    with suppress(OSError):
        for item in source.iterdir():
            if item.name not in left_out:
                (target / item.name).symlink_to(item)


def _mirror_runs(source: Path, target: Path) -> None:
    """Link the files of former runs, so that their weights can be read."""
    target.mkdir()
    if not source.is_dir():
        return
    for item in source.iterdir():
        if item.name in _OWN:
            continue
        if not item.is_dir():
            (target / item.name).symlink_to(item)
            continue
        (target / item.name).mkdir()
        _link(item, target / item.name)


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
