"""The JSON of a comparison, written and read."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.resources import files
from math import inf, isfinite, isnan
from pathlib import Path
from typing import Any

import numpy as np

from lit_lossopt.comparison.record.records import FORMAT, VERSION
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.files import whole_file

# The JSON Schema of this version, beside this module.
SCHEMA = f"comparison-{VERSION}.schema.json"
# The id of the element that holds the JSON in a page.
ELEMENT = "comparison-record"
# The type of the element, plain, and compressed by zlib and in base64. So JSON of more characters is kept.
PLAIN, PACKED, MOST_PLAIN = "application/json", "application/zlib", 2_000_000
# Bytes that a packed record may have.
_LARGEST = 2**30
_INFINITE = {inf: "infinity", -inf: "-infinity"}


def as_tree(value: Any) -> Any:
    """Return a record as plain values that JSON can hold.

    Fields and properties become keys. NaN becomes None, and infinite numbers become texts.
    """
    if isinstance(value, float):
        return value if isfinite(value) else None if isnan(value) else _INFINITE[value]
    if isinstance(value, Enum):
        return str(value)
    if is_dataclass(value):
        return {name: as_tree(getattr(value, name)) for name in keys_of(type(value))}
    if isinstance(value, Mapping):
        return {str(key): as_tree(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return as_tree(value.tolist())
    return [as_tree(one) for one in value] if isinstance(value, list | tuple) else value


def keys_of(kind: type) -> list[str]:
    """Return the keys of a record, which are its fields and then its properties."""
    properties = [
        name
        for base in reversed(kind.__mro__)
        for name, item in vars(base).items()
        if isinstance(item, property) and not name.startswith("_")
    ]
    return [*(item.name for item in fields(kind)), *dict.fromkeys(properties)]


def as_text(tree: Mapping[str, Any]) -> str:
    """Return the JSON of a record, with a line for each value.

    Args:
        tree: as ``as_tree`` returns it.
    """
    return json.dumps(tree, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def write_json(tree: Mapping[str, Any], path: Path) -> None:
    """Write the JSON of a record, whole or not at all.

    Args:
        tree: as ``as_tree`` returns it.
        path: the file. Its folder is made.

    Raises:
        OSError: it cannot be written.
    """
    text = as_text(tree)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def packed(text: str) -> str:
    """Return the JSON of a large record as it stands in a page.

    It takes a third of the room. ``unpacked`` is the way back.
    """
    return base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


def unpacked(page: str) -> str:
    """Return a page in which the JSON is plain.

    Two pages are the same if these are. Versions of zlib may compress the same JSON to other bytes.

    Raises:
        ValueError: what it holds was not packed.
    """
    opening, front = _opening(PACKED), page.find(_opening(PACKED))
    if front < 0:
        return page
    start = front + len(opening)
    end = page.find(_CLOSING, start)
    try:
        # A page may come from anybody, and a few bytes can stand for more than memory holds. What is cut is no JSON.
        held = zlib.decompressobj().decompress(base64.b64decode(page[start:end], validate=True), _LARGEST)
        text = held.decode("ascii")
    except zlib.error as error:
        raise ValueError(ELEMENT) from error
    return f"{page[:front]}{_opening(PLAIN)}{text}{page[end:]}"


def schema() -> dict[str, Any]:
    """Return the JSON Schema that every record of this version fits."""
    text = (files("lit_lossopt.comparison.record") / SCHEMA).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def read_tree(path: Path) -> tuple[dict[str, Any], str]:
    """Return the JSON of a comparison as plain values, and the text of the page that holds it.

    Args:
        path: a JSON file, or a page. The text is empty for a JSON file.

    Raises:
        UserError: the file cannot be read, holds no comparison, or one of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from error
    is_page = text.lstrip()[:1] == "<"
    try:
        found = json.loads(_element(text) if is_page else text, object_pairs_hook=_each_once)
    except ValueError as error:
        raise UserError(f"{path}: {_NOTHING}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UserError(f"{path}: {_NOTHING}")
    if found.get("version") != VERSION:
        raise UserError(
            f"{path}: its format has version {found.get('version')}, and this program reads {VERSION}; take the "
            "program that made it"
        )
    return found, text if is_page else ""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice, since programs do not agree on which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(pairs)
    return found


_NOTHING = (
    "it holds no comparison that can be read; name a page or a JSON file that lossopt compare or lossopt sweep has "
    "written"
)


def _element(page: str) -> str:
    """Return the text of the one element that holds the JSON.

    Raises:
        ValueError: there is none, or several.
    """
    if page.count(f'"{ELEMENT}"') != 1:
        raise ValueError(ELEMENT)
    return unpacked(page).partition(_opening(PLAIN))[2].partition(_CLOSING)[0]


_CLOSING = "</script>"


def _opening(kind: str) -> str:
    return f'<script type="{kind}" id="{ELEMENT}">'
