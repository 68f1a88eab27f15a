"""The parser's messages, which are a tree of attempts over many lines, as one line: key, value, source, reason."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lit_lossopt.config_check import import_refusal
from lit_lossopt.config_merge import COMMAND_LINE, Settings
from lit_lossopt.errors import one_line

# Lines that lead to a reason but are none.
_NOISE = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value|Expected a path but|"
    r"Problem with given class_path|Import path .* does not correspond to a subclass|"
    r"Parser key|Expected a dot import path|Unable to load config|$"
)
_WORDING = (
    (re.compile(r"^Type .* expects a function or a callable class: "), ""),
    (re.compile(r"Expected an? <class 'str'>"), "expected a text; in a config put it in quotes"),
    (re.compile(r"Expected an? <class '(?:[\w.]*\.)?(\w+)'>"), r"expected \1"),
    (re.compile(r"Expected a typing\.Literal\[(.*?)\]"), r"expected one of \1"),
    (re.compile(r"^Expected "), "expected "),
    (re.compile(r"Not of type \w+:.* does not conform to restriction v"), "must be "),
    (re.compile(r"Not of type \w+Int: .*"), "expected a whole number"),
    (re.compile(r"\.? ?Got value: .*$"), ""),
)


def readable(message: str, settings: Settings, typed: Mapping[str, str | None]) -> str:
    """Return the parser's message as one line; ``typed`` holds the flags that are not part of the settings."""
    key = _key(message)
    denied = re.search(r"Importing '([\w.]+)' is not allowed", message)
    reason = import_refusal(denied[1]) if denied else _reason(message)
    if not key:
        return one_line(reason)
    value = typed.get(key, settings.value(key))
    if value is None:
        given = re.search(r"(?:Given|Got) value: (.*)", message)
        value = given[1].strip() if given else None
    # What the parser has made of classes tells a person nothing.
    shown = "" if value is None or isinstance(value, dict) or "Namespace(" in str(value) else f"={value}"
    was_typed = any(key == name or key.startswith(f"{name}.") for name in typed)
    return one_line(f"{key}{shown} from {COMMAND_LINE if was_typed else settings.origin(key)}: {reason}")


def _key(message: str) -> str:
    """Return the dotted key that the nested messages name, outermost first, each once."""
    parts: list[str] = []
    for found in re.findall(r'Parser key "([\w.]+)"', message):
        parts += [part for part in found.split(".") if part not in (*parts, "init_args")]
    return ".".join(parts)


def _reason(message: str) -> str:
    """Return the first line that gives a reason behind the innermost key."""
    behind = re.split(r'Parser key "[\w.]+": *', message)[-1]
    for line in behind.splitlines():
        text = line.strip().removeprefix("- ")
        if _NOISE.match(text):
            continue
        for pattern, replacement in _WORDING:
            text = pattern.sub(replacement, text)
        return text
    other = re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", behind)
    return f"{other[1]} is no {other[2]}" if other else one_line(message)
