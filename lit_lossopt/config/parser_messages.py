"""The parser's messages on one line.

They are a tree of attempts over many lines. The line has key, value, source and reason.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping

from lit_lossopt.config.check import import_refusal
from lit_lossopt.config.merge import COMMAND_LINE, Settings
from lit_lossopt.core.errors import did_you_mean, one_line

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

_PARSED_CLASS = re.compile(r"Namespace\(class_path='([\w.]+)', init_args=Namespace\((.*)")


def readable(message: str, settings: Settings, typed: Mapping[str, str | None]) -> str:
    """Return the parser's message as one line.

    ``typed`` holds the flags that are not part of the settings.
    """
    key = _key(message)
    denied = re.search(r"Importing '([\w.]+)' is not allowed", message)
    # The base class, which the parser tries after the class that was named.
    is_a_try = denied and denied[1] == "lightning.Callback"
    reason = import_refusal(denied[1]) if denied and not is_a_try else _unknown_class(message) or _reason(message)
    if not key:
        return one_line(reason)
    value = typed.get(key, settings.value(key))
    if value is None:
        given = re.search(r"(?:Given|Got) value: (.*)", message)
        value = given[1].strip() if given else None
    parsed = _PARSED_CLASS.search(str(value or ""))
    if parsed:
        # What was parsed so far is no text that a person wrote.
        value = parsed[1].rpartition(".")[2]
        reason = _missing(key, parsed[1], parsed[2]) or reason
    shown = "" if value is None or isinstance(value, dict) else f"={value}"
    if re.search(r"=<.* at 0x\w+>$", shown):
        shown, reason = "", "its default is nothing that a config can hold; give it a value"
    was_typed = any(key == name or key.startswith(f"{name}.") for name in typed)
    return one_line(f"{key}{shown} from {COMMAND_LINE if was_typed else settings.origin(key)}: {reason}")


def _missing(key: str, class_path: str, parsed: str) -> str:
    """Return which arguments a class still needs.

    It also says how to give them. The result is empty where the class has all.
    """
    module, _, name = class_path.rpartition(".")
    # A class that the parser has looked at is imported.
    named_class = getattr(sys.modules.get(module), name, None)
    parameters = inspect.signature(named_class).parameters.values() if named_class else ()
    wanted = [one.name for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    missing = [argument for argument in wanted if re.search(rf"\b{argument}=None\b", parsed)]
    flags = " ".join(f"--{key}.{argument}=…" for argument in missing)
    return f"{name} needs {' and '.join(missing)}; add {flags} after it" if missing else ""


def _unknown_class(message: str) -> str:
    """Return which callbacks or loggers there are.

    This is for a name that is none of them. Otherwise the result is empty.
    """
    named = re.search(r"Expected a dot import path string: (\w+)", message)
    package = re.search(r"lightning\.pytorch\.(?:callbacks|loggers)", message)
    if not (named and package):
        return ""
    known = sorted(getattr(sys.modules.get(package[0]), "__all__", ()))
    return f"no such class{did_you_mean(named[1], known)}; known by name: {', '.join(known)}"


def _key(message: str) -> str:
    """Return the dotted key that the nested messages name.

    The outermost part is first, and each part occurs once.
    """
    parts: list[str] = []
    for nested in re.findall(r'Parser key "([\w.]+)"', message):
        parts += [part for part in nested.split(".") if part not in (*parts, "init_args")]
    return ".".join(parts)


def _reason(message: str) -> str:
    """Return the first reason behind the innermost key."""
    behind = re.split(r'Parser key "[\w.]+": *', message)[-1]
    for line in behind.splitlines():
        text = line.strip().removeprefix("- ")
        if _NOISE.match(text):
            continue
        for pattern, replacement in _WORDING:
            text = pattern.sub(replacement, text)
        return text
    other = re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", behind)
    return f"{other[1]} is not a {other[2]}" if other else one_line(message)
