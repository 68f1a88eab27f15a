"""The JSON Schema of a comparison's record, made from the records themselves.

``python -m tests.support.record_schema`` writes it into the package.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import numpy as np

import lit_lossopt.comparison.record
from lit_lossopt.comparison.record.records import FORMAT, VERSION, Record
from lit_lossopt.comparison.record.text import SCHEMA, keys_of

PATH = Path(lit_lossopt.comparison.record.__file__).parent / SCHEMA
_PLAIN = {str: "string", int: "integer", bool: "boolean"}
_NUMBER = {
    "description": "Null is a value that is not known.",
    "anyOf": [{"type": ["number", "null"]}, {"enum": ["infinity", "-infinity"]}],
}


def made() -> dict[str, Any]:
    """Return the schema, as the records are now."""
    known: dict[str, Any] = {"number": _NUMBER}
    reference = _schema(Record, known)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"{FORMAT}, version {VERSION}"}
    return {**head, **reference, "$defs": dict(sorted(known.items()))}


def _schema(kind: Any, known: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in known:
            known[kind.__name__] = {}
            known[kind.__name__] = _object(kind, known)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if kind is float:
        return {"$ref": "#/$defs/number"}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if origin is None:
        return {"enum": [str(one) for one in kind]} if issubclass(kind, Enum) else {"type": "null"}
    found: dict[str, Any] = _OF_ORIGIN[origin](arguments, known)
    return found


def _tuple(arguments: tuple[Any, ...], known: dict[str, Any]) -> dict[str, Any]:
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": _schema(arguments[0], known)}
    items = [_schema(one, known) for one in arguments]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


_OF_ORIGIN: dict[Any, Any] = {
    Literal: lambda arguments, _: {"const": arguments[0]},
    Union: lambda arguments, known: {"anyOf": [_schema(one, known) for one in arguments]},
    types.UnionType: lambda arguments, known: {"anyOf": [_schema(one, known) for one in arguments]},
    tuple: _tuple,
    np.ndarray: lambda _, known: {"type": "array", "items": _schema(float, known)},
    Mapping: lambda arguments, known: {"type": "object", "additionalProperties": _schema(arguments[1], known)},
}


def _object(kind: type, known: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    stored = {item.name for item in fields(kind)}
    said = _said(kind)
    properties = {
        key: {
            **({"description": said[key]} if said.get(key) else {}),
            **_schema(hints[key] if key in stored else get_type_hints(getattr(kind, key).fget)["return"], known),
        }
        for key in keys_of(kind)
    }
    return {
        "type": "object",
        "description": docstring_parser.parse(kind.__doc__ or "").short_description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _said(kind: type) -> dict[str, str]:
    """Return what docstrings say of fields and properties."""
    said: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        parsed = docstring_parser.parse(base.__doc__ or "", docstring_parser.DocstringStyle.GOOGLE)
        said |= {one.arg_name: " ".join((one.description or "").split()) for one in parsed.params}
        for name, item in vars(base).items():
            if isinstance(item, property):
                said[name] = " ".join((item.__doc__ or "").split())
    return said


if __name__ == "__main__":
    PATH.write_text(json.dumps(made(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(PATH)
