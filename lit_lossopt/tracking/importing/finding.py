"""Which files below the typed paths are logs, and of which format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_lossopt.core import names
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.numbers import listed
from lit_lossopt.core.paths import given_path
from lit_lossopt.tracking.addresses import check_file_store
from lit_lossopt.tracking.importing.formats import FORMATS, TABLE, format_of
from lit_lossopt.tracking.importing.records import Candidate, Format, Found, Source
from lit_lossopt.tracking.importing.tables import header_of

# Folders that hold no logs of other programs, but many files.
_PASSED_OVER = {"__pycache__", "node_modules", "site-packages", names.RUNS_FOLDER}
_TABLES = (".csv", ".tsv", ".log", ".txt")
_WANDB = "write wandb.Api().run(...).history().to_csv(FILE) for each run, as W&B's own .wandb files are not read"


@dataclass(frozen=True)
class Logs:
    """What was found.

    Attributes:
        sources: what is read, each with its format.
        passed_over: tables that no format fits.
    """

    sources: Sequence[tuple[Format, Source]]
    passed_over: Sequence[Path]


def find_logs(typed: Sequence[str], wanted: str, *, has_columns: bool) -> Logs:
    """Return the logs at or below some paths.

    Args:
        typed: the paths, as a person typed them.
        wanted: the name of the format, or empty: the files tell.
        has_columns: whether the columns of a table were named.

    Raises:
        UserError: nothing is there, nothing is recognised, or one folder holds logs of several formats.
    """
    forced = TABLE if has_columns else format_of(wanted) if wanted else None
    by_format: dict[str, list[Found]] = {}
    passed_over: list[Path] = []
    for word in typed:
        chosen, strange = _of_path(given_path(word), word, forced)
        passed_over += strange
        for path, one in chosen.items():
            known = by_format.setdefault(one.name, [])
            if path.resolve() not in {found.path.resolve() for found in known}:
                known.append(Found(path, word))
    sources = [
        (format_of(name), source) for name, files in by_format.items() for source in format_of(name).sources(files)
    ]
    return Logs(sources, passed_over)


def _of_path(path: Path, word: str, forced: Format | None) -> tuple[dict[Path, Format], list[Path]]:
    """Return the logs of one typed path, and the tables that no format fits.

    Raises:
        UserError: there are none.
    """
    if not path.exists():
        raise UserError(f"import {word}: there is no such file or folder in {Path.cwd()}; check the path")
    _refuse_file_store(path)
    if path.is_file():
        one = forced or _recognised(path)
        if one is None:
            raise _unknown(path, word)
        return {path: one}, []
    files = list(_files(path))
    if forced is not None:
        chosen = {file: forced for file in files if forced.recognises(_candidate(file))}
        # Files that were renamed.
        chosen = chosen or {file: forced for file in files if file.suffix in forced.suffixes}
    else:
        chosen = {file: one for file in files if (one := _recognised(file))}
        _refuse_several(chosen, path, word)
    if not chosen:
        raise _nothing(path, word, files, forced)
    return chosen, [file for file in files if file not in chosen and file.suffix in _TABLES[:2]]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, in order.

    Hidden folders are passed over.
    """
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER and not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files))


def _recognised(path: Path) -> Format | None:
    file = _candidate(path)
    return next((one for one in FORMATS if one.recognises(file)), None)


def _candidate(path: Path) -> Candidate:
    return Candidate(path, header_of(path) if path.suffix.lower() in _TABLES else ())


def _refuse_several(chosen: dict[Path, Format], path: Path, word: str) -> None:
    found = list(dict.fromkeys(one.name for one in chosen.values()))
    if len(found) < 2:
        return
    examples = [
        f"{name} ({next(file for file, one in chosen.items() if one.name == name).relative_to(path)})" for name in found
    ]
    raise UserError(
        f"import {word}: logs of several formats are in it, {listed(examples)}, and may be of the same runs. Choose "
        f"with --format {found[0]}, or name their folders one by one"
    )


def _refuse_file_store(path: Path) -> None:
    """Refuse MLflow's former store, with the command that migrates it."""
    for folder in (path, path / names.RUNS_FOLDER, path.parent):
        if folder.is_dir() and any(folder.glob("[0-9]*/meta.yaml")):
            check_file_store(folder.absolute().as_uri(), "a folder that import was given")


def _unknown(path: Path, word: str) -> UserError:
    header = _candidate(path).header
    if header:
        shown = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
        return UserError(
            f"import {word}: no known program writes such a table ({shown}). Say what its columns are, as --columns "
            "step=COLUMN,loss=COLUMN,seed=COLUMN"
        )
    hint = (
        _WANDB if path.suffix == ".wandb" else f"say what it is with --format {'|'.join(one.name for one in FORMATS)}"
    )
    return UserError(f"import {word}: no known program writes such a file; {hint}")


def _nothing(path: Path, word: str, files: Sequence[Path], forced: Format | None) -> UserError:
    looked_for = "; ".join(one.text for one in ([forced] if forced else FORMATS[:-1]))
    tables = [file for file in files if file.suffix in _TABLES[:2]]
    if any(file.suffix == ".wandb" for file in files):
        hint = _WANDB
    elif tables and not forced:
        hint = f"say what the columns of {tables[0].relative_to(path)} are, as --columns step=COLUMN,loss=COLUMN"
    else:
        hint = "name another folder"
    return UserError(f"import {word}: none of its {len(files)} files is a log. Looked for: {looked_for}. Please {hint}")
