"""A scratch folder in which a training finds all that it finds here, and leaves nothing here.

Relative paths of a recorded command line mean files around the working folder. The mirror has the folders below the
working folder as folders of its own, with links to the files in them. Folders above and beside it are links. Only the
store and what a training keeps in ``mlruns`` are left out.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from urllib.request import pathname2url

from lit_lossopt.core import names

_STORE = "mlflow.db"
# Parts of mlruns that a training writes, and that are not shared with this folder.
_OWN = {Path(names.JOURNAL_FOLDER).name, Path(names.OUTPUT_FOLDER).name}
# A folder with more files holds images.
_MOST_FILES = 500
# Folders that no training writes to, with very many files.
_ONLY_READ = {".git", ".venv", "venv", "node_modules", "__pycache__"}


@contextmanager
def mirrored_folder(written: Collection[str] = ()) -> Iterator[Path]:
    """Work in a mirror of the working folder, with a store of its own, until the block ends.

    The mirror is removed at the end, with all that was written there.

    Args:
        written: folders below the working folder that trainings write to. They are empty in the mirror, because what
            is written to a link is written to its file.

    Yields:
        The mirror of the working folder.
    """
    here = Path.cwd().absolute()
    with tempfile.TemporaryDirectory(prefix="lossopt-verify-", ignore_cleanup_errors=True) as temporary:
        folder = _mirror(here, Path(temporary), {here / name for name in written})
        store = f"sqlite:///{pathname2url(str(folder / _STORE))}"
        with contextlib.chdir(folder), _variable("MLFLOW_TRACKING_URI", store):
            yield folder


def _mirror(here: Path, root: Path, written: Collection[Path]) -> Path:
    inside = root
    for folder, below in itertools.pairwise((*reversed(here.parents), here)):
        _link(folder, inside, {below.name})
        inside = inside / below.name
        inside.mkdir()
    stores = {item for item in here.iterdir() if item.name.startswith(_STORE)}
    runs = here / names.RUNS_FOLDER
    _mirror_below(here, inside, {runs, *stores, *written}, _MOST_FILES)
    (inside / names.RUNS_FOLDER).mkdir()
    _mirror_below(runs, inside / names.RUNS_FOLDER, {runs / name for name in _OWN})
    return inside


def _link(source: Path, target: Path, left_out: Collection[str] = ()) -> None:
    """Link everything in a folder, but for what is left out."""
    with suppress(OSError):
        for item in source.iterdir():
            if item.name not in left_out:
                (target / item.name).symlink_to(item)


def _mirror_below(source: Path, target: Path, left_out: Collection[Path], most: float = inf) -> None:
    """Make the folders below a folder again, with links to their files.

    So what a training writes into them stays in the mirror.

    Args:
        source: the folder.
        target: the same in the mirror. It is there already.
        left_out: files and folders that are not in the mirror.
        most: a folder with more files is a link, because it holds images.
    """
    with suppress(OSError):
        for item in source.iterdir():
            if item in left_out:
                continue
            place = target / item.name
            if item.is_dir() and not item.is_symlink() and item.name not in _ONLY_READ and not _has_more(item, most):
                place.mkdir()
                _mirror_below(item, place, left_out, most)
            else:
                place.symlink_to(item)


def _has_more(folder: Path, most: float) -> bool:
    with suppress(OSError):
        return most < inf and any(number >= most for number, _ in enumerate(folder.iterdir()))
    return False


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
