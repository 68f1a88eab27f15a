"""TensorBoard's event files.

An event file is a row of records: a length, its checksum, an event in protobuf, and its checksum. TensorBoard's own
loader would load TensorFlow wherever it is installed, and stop at a damaged record without a word. So only its protobuf
is taken.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.importing.hparams import read_hparams
from lit_lossopt.tracking.importing.records import Candidate, Columns, ForeignRun, Format, Found, Series, Source, Times

EXTRA = "pip install 'lit_lossopt[tensorboard]'"
_MARK = "tfevents"
# Keras' callback and many scripts write each part of a run to a folder of its own.
_PARTS = ("train", "training", "val", "valid", "validation", "eval", "evaluation", "test")
_NOTE = "Folders as train and val are parts of one run. They stand before the names of its metrics."
# torch's add_hparams makes a folder inside that of its run, and calls it by the time.
_OF_HPARAMS = re.compile(r"\d{10}\.\d+")
_LENGTH = struct.Struct("<Q")
_SCALARS, _HPARAMS = "scalars", "hparams"


@dataclass
class _Reading:
    """What was read of one run so far.

    Attributes:
        metrics: metric → its points.
        params: settings that the plugin ``hparams`` holds.
        plugins: tag → its plugin, which only its first event names.
        times: milliseconds of the first and the last event, if there were any.
        left_out: what was not read → how often.
    """

    metrics: dict[str, Series] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    plugins: dict[str, str] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def is_events(file: Candidate) -> bool:
    """Return True if a file is called as event files are."""
    return _MARK in file.path.name


def sources(files: Sequence[Found]) -> list[Source]:
    """Return a source for each folder.

    A run that was continued has several files. The folders ``train`` and ``validation`` are parts of one run, and so is
    the one folder in which ``add_hparams`` keeps its settings.
    """
    own = {found.path.absolute().parent for found in files}
    settings = Counter(folder.parent for folder in own if _OF_HPARAMS.fullmatch(folder.name))
    folders: dict[Path, list[Found]] = {}
    for found in files:
        folder = found.path.absolute().parent
        is_settings = _OF_HPARAMS.fullmatch(folder.name) and folder.parent in own and settings[folder.parent] == 1
        folders.setdefault(folder.parent if folder.name in _PARTS or is_settings else folder, []).append(found)
    return [
        Source(tuple(sorted(found.path for found in inside)), folder.as_posix(), inside[0].typed)
        for folder, inside in folders.items()
    ]


def read(source: Source, _: Columns) -> list[ForeignRun]:
    """Return the run of a folder's event files.

    Raises:
        UserError: the extra is missing, or a file cannot be read.
    """
    try:
        import tensorboard.compat.proto.event_pb2  # noqa: F401  # tried
    except ImportError as error:
        raise UserError(f"import {source.path}: TensorBoard's files need the package tensorboard; {EXTRA}") from error
    reading, notes = _Reading(), dict[str, None]()
    for path in source.files:
        folder = path.absolute().parent
        part = f"{folder.name}/" if folder.as_posix() != source.label else ""
        is_settings = part and folder.name not in _PARTS
        into = _Reading(params=reading.params) if is_settings else reading
        for event in _events(path, reading.left_out):
            _take(event, part, into)
        if is_settings and into.metrics:
            # They stand at step 0, whenever they were reached.
            reading.left_out["results that add_hparams repeats"] += len(into.metrics)
        notes.update(dict.fromkeys([_NOTE] if part and not is_settings else []))
    # Lightning writes the same to both, and spells nested names in two ways.
    params = read_hparams(Path(source.label), reading.left_out) or reading.params
    times = Times(min(reading.times), max(reading.times)) if reading.times else None
    return [ForeignRun(source.label, params, reading.metrics, times, notes=tuple(notes), left_out=reading.left_out)]


def _events(path: Path, left_out: Counter[str]) -> Iterator[Any]:
    """Yield the events of a file.

    Raises:
        UserError: the file cannot be read, or a record is damaged.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    try:
        for record in _records(path, left_out):
            yield Event.FromString(record)
    except OSError as error:
        raise UserError(f"import {path}: cannot be read: {error.strerror or error}") from error
    except DecodeError as error:
        raise UserError(f"import {path}: a record is no event of TensorBoard; leave the file out") from error


def _records(path: Path, left_out: Counter[str]) -> list[bytes]:
    """Return the records of a file.

    Raises:
        UserError: one is damaged.
    """
    content = path.read_bytes()
    places, records, said, place = [], [], [], 0
    # What follows a wrong length is wrong as well, and the first wrong record is found by its checksum.
    while len(content) >= place + 12 and len(content) >= place + 16 + (
        length := _LENGTH.unpack_from(content, place)[0]
    ):
        end = place + 12 + length
        places.append(place)
        records.append(content[place + 12 : end])
        said.append(content[end : end + 4])
        place = end + 4
    wrong = [there for there, good in zip(places, _checked(records, said), strict=True) if not good]
    if wrong:
        raise _damaged(path, wrong[0])
    if place < len(content):
        is_cut = (
            len(content) < place + 12 or _checked([content[place : place + 8]], [content[place + 8 : place + 12]])[0]
        )
        if place == 0 or not is_cut:
            raise _damaged(path, place)
        # A program that is killed leaves half a record. TensorBoard itself leaves it out.
        left_out[f"half a record at the end of {path.name}"] += 1
    return records


def _checked(records: Sequence[bytes], said: Sequence[bytes]) -> list[bool]:
    """Return whether each record has the checksum that is said of it."""
    from lit_lossopt.tracking.importing.crc32c import masked_checksums

    told = struct.unpack(f"<{len(said)}I", b"".join(said))
    return [own == other for own, other in zip(masked_checksums(records).tolist(), told, strict=True)]


def _damaged(path: Path, place: int) -> UserError:
    return UserError(
        f"import {path}: it is no event file of TensorBoard, or damaged (the record at byte {place:,} has a wrong "
        "checksum); copy it anew, or leave it out"
    )


def _take(event: Any, part: str, reading: _Reading) -> None:
    """Add an event to what was read."""
    milliseconds = round(event.wall_time * 1000)
    reading.times.append(milliseconds)
    for value in event.summary.value:
        tag = f"{part}{value.tag}"
        plugin = value.metadata.plugin_data.plugin_name
        if plugin:
            reading.plugins.setdefault(tag, plugin)
        if plugin == _HPARAMS:
            reading.params.update(_settings(value.metadata.plugin_data.content))
            continue
        number = _number(value, reading.plugins.get(tag, ""))
        if number is None:
            reading.left_out[f"what is no scalar ({reading.plugins.get(tag) or value.WhichOneof('value')})"] += 1
        else:
            reading.metrics.setdefault(tag, Series()).add(event.step, number, milliseconds)


def _number(value: Any, plugin: str) -> float | None:
    """Return the number of a scalar, also of one that is kept as a tensor."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or plugin not in ("", _SCALARS):
        return None
    from tensorboard.util.tensor_util import make_ndarray

    numbers = make_ndarray(value.tensor)
    return float(numbers.item()) if numbers.size == 1 and numbers.dtype.kind in "biuf" else None


def _settings(content: bytes) -> dict[str, str]:
    """Return the settings that the plugin ``hparams`` keeps at a run's start."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    values = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: _setting(value) for name, value in values.items()}


def _setting(value: Any) -> str:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = float(value.number_value)
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    return str(value.bool_value) if kind == "bool_value" else str(value.string_value)


FORMAT = Format(
    "tensorboard",
    "event files of TensorBoard (*tfevents*), with hparams.yaml beside them",
    (),
    is_events,
    read,
    sources,
)
