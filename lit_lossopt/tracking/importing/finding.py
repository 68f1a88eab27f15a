"""Which files below the typed paths are logs, and of which format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_lossopt.core.errors import UserError
from lit_lossopt.core.numbers import listed
from lit_lossopt.core.paths import given_path
from lit_lossopt.tracking.addresses import check_file_store
from lit_lossopt.tracking.importing.formats import FORMATS, TABLE, format_of
from lit_lossopt.tracking.importing.records import Candidate, Format, Found, Source
from lit_lossopt.tracking.importing.tables import header_of, other_kind, read_table
from lit_lossopt.tracking.importing.walking import Below, store_above, stores_among, walk

_TABLES = (".csv", ".tsv", ".log", ".txt")
_COMPRESSED = (".csv.gz", ".tsv.gz", ".log.gz", ".json.gz")
_WANDB = (
    "write pandas.DataFrame(wandb.Api().run(...).scan_history()).to_csv(FILE) for each run, as W&B's own .wandb files "
    "are not read"
)
_LINES = "write its lines as CSV, as pandas.read_json(FILE, lines=True).to_csv(OTHER) does"
_HINTS = {".wandb": _WANDB, ".jsonl": _LINES, ".ndjson": _LINES}


@dataclass(frozen=True)
class Logs:
    """What was found.

    Attributes:
        sources: what is read, each with its format.
        passed_over: what was not read → where it lies.
    """

    sources: Sequence[tuple[Format, Source]]
    passed_over: Mapping[str, Sequence[Path]]


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
    by_format: dict[str, dict[Path, Found]] = {}
    passed_over: dict[str, list[Path]] = {}
    for word in typed:
        try:
            chosen, strange = _of_path(given_path(word), word, forced)
        except OSError as error:
            where = error.filename or word
            raise UserError(
                f"import {where}: cannot be read: {error.strerror or error}; mend that, or leave it out"
            ) from error
        for what, places in strange.items():
            passed_over.setdefault(what, []).extend(places)
        for path, one in chosen.items():
            by_format.setdefault(one.name, {}).setdefault(path.resolve(), Found(path, word))
    sources = [
        (format_of(name), source)
        for name, files in by_format.items()
        for source in format_of(name).sources(list(files.values()))
    ]
    return Logs(sources, passed_over)


def _of_path(path: Path, word: str, forced: Format | None) -> tuple[dict[Path, Format], dict[str, list[Path]]]:
    """Return the logs of one typed path, and what was not read.

    Raises:
        UserError: there are none.
        OSError: a file or folder cannot be read.
    """
    if not path.exists():
        raise UserError(f"import {word}: there is no such file or folder in {Path.cwd()}; check the path")
    if path.is_dir():
        # A folder that cannot be read is told by its own name.
        os.scandir(path).close()
    _refuse_file_store(store_above(path))
    if path.is_file():
        one = forced or _recognised(path)
        if one is None:
            raise _unknown(path, word)
        return {path: one}, {}
    below = walk(path)
    files = below.files
    if forced is not None:
        chosen = {file: forced for file in files if forced.recognises(_candidate(file))}
        # Files that were renamed.
        chosen = chosen or {file: forced for file in files if file.suffix in forced.suffixes}
    else:
        chosen = {file: one for file in files if (one := _recognised(file))}
        _refuse_several(chosen, path, word)
    if not chosen:
        raise _nothing(path, word, below, forced)
    return chosen, _passed_over(below, chosen)


def _passed_over(below: Below, chosen: Mapping[Path, Format]) -> dict[str, list[Path]]:
    """Return what may hold runs as well, and was not read."""
    others = [file for file in below.files if file not in chosen]
    found = {
        "table that no format fits": [file for file in others if file.suffix in _TABLES[:2]],
        "compressed file, which gunzip unpacks": [file for file in others if file.name.endswith(_COMPRESSED)],
        "link to a folder, which you may name itself": below.links,
        "former store of MLflow, which you may name itself": stores_among(below.stores),
    }
    return {what: places for what, places in found.items() if places}


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


def _refuse_file_store(folder: Path | None) -> None:
    """Refuse MLflow's former store, with the command that migrates it."""
    if folder is not None:
        check_file_store(folder.absolute().as_uri(), "a folder that import was given")


def _unknown(path: Path, word: str) -> UserError:
    header = _candidate(path).header
    if header:
        shown = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
        return UserError(
            f"import {word}: no known program writes such a table ({shown}). Say what its columns are, as --columns "
            "step=COLUMN,loss=COLUMN,seed=COLUMN"
        )
    if path.suffix.lower() in _TABLES:
        # It says what is wrong with a table that has no columns.
        read_table(path)
    known = f"say what it is with --format {'|'.join(one.name for one in FORMATS)}"
    hint = other_kind(path) or _HINTS.get(path.suffix.lower(), known)
    return UserError(f"import {word}: no known program writes such a file; {hint}")


def _nothing(path: Path, word: str, below: Below, forced: Format | None) -> UserError:
    _refuse_file_store(next(iter(stores_among(below.stores)), None))
    files = below.files
    looked_for = "; ".join(one.text for one in ([forced] if forced else FORMATS[:-1]))
    tables = [file for file in files if file.suffix in _TABLES[:2]]
    known = next((file.suffix for file in files if file.suffix in _HINTS), "")
    if known:
        hint = _HINTS[known]
    elif below.links:
        hint = f"name the folder to which {below.links[0].relative_to(path)} is a link"
    elif any(file.name.endswith(_COMPRESSED) for file in files):
        hint = "unpack what is compressed, as gunzip does"
    elif tables and not forced:
        hint = f"say what the columns of {tables[0].relative_to(path)} are, as --columns step=COLUMN,loss=COLUMN"
    else:
        hint = "name another folder"
    return UserError(f"import {word}: none of its {len(files)} files is a log. Looked for: {looked_for}. Please {hint}")
