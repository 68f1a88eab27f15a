"""YAML under one set of rules.

What is written here is read back here unchanged.

Which plain word is a number, a truth value or nothing is decided by ``RULES`` alone, for reading and for writing.
What a lenient reader would accept in silence is refused with its place. Refused are duplicate keys, nesting deeper than
any config needs, aliases that unfold into more than a config can hold ("billion laughs"), and files that are no text.
Nothing here recurses on the input before its depth is known.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from lit_lossopt.core.errors import UserError, one_line

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 10_000

_INT_TAG, _STR_TAG, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("int", "str", "merge"))
_FLOAT = (
    r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
# The plain words that are no text, as in YAML 1.2, each with the characters that it can begin with. YAML 1.1 would read
# 010 as eight, 1:30 as ninety, a class named ``no`` as false, 2026-01-01 as a date, and 1e-3 as text. The underscore in
# 1_000 is Python's.
RULES = (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (_INT_TAG, r"^(?:[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        _FLOAT,
        list("-+0123456789."),
    ),
    (_MERGE, r"^(?:<<)$", ["<"]),
)
# One plain word in YAML, whatever stands around it.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./+-]*")
_LINE_ENDS = frozenset("\r\x85\u2028\u2029")


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader under ``RULES``."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as PyYAML declares it

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Return a whole number.

        A leading zero means nothing.
        """
        text = str(self.construct_scalar(node)).replace("_", "")
        return int(text, 0) if "0x" in text or "0o" in text else int(text)

    def construct_yaml_str(self, node: yaml.ScalarNode) -> str:
        """Return a text.

        JSON writes what is beyond 16 bits as two halves.
        """
        text = str(self.construct_scalar(node))
        halves = any("\ud800" <= letter <= "\udfff" for letter in text)
        return text.encode("utf-16", "surrogatepass").decode("utf-16") if halves else text


class StrictDumper(yaml.SafeDumper):
    """PyYAML's safe dumper with quotes where they are needed.

    A text that ``RULES`` would read as something else is put in quotes.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as PyYAML declares it

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out, as a person would."""
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Write a text.

        Only double quotes keep unusual line ends.
        """
        style = '"' if _LINE_ENDS.intersection(text) else None
        return self.represent_scalar(_STR_TAG, str.__str__(text), style)


for _tag, _pattern, _first in RULES:
    for _kind in (StrictLoader, StrictDumper):
        _kind.add_implicit_resolver(_tag, re.compile(_pattern), _first)
StrictLoader.add_constructor(_INT_TAG, StrictLoader.construct_yaml_int)
StrictLoader.add_constructor(_STR_TAG, StrictLoader.construct_yaml_str)
# Where it is no key, it is a text.
StrictLoader.add_constructor(_MERGE, StrictLoader.construct_yaml_str)
StrictDumper.add_representer(str, StrictDumper.represent_text)
# Members of an enumeration of texts are texts.
StrictDumper.add_multi_representer(str, StrictDumper.represent_text)


def dump_yaml(value: Any, *, in_braces: bool = False) -> str:
    """Return ``value`` as YAML.

    ``load_strict`` reads it back unchanged, but for tuples, which become lists.

    Raises:
        yaml.YAMLError: it holds something else than mappings, sequences, texts, numbers, truth values and None.
    """
    form: dict[str, Any] = {"default_flow_style": True, "width": math.inf} if in_braces else {}
    text: str = yaml.dump(
        value, Dumper=StrictDumper, allow_unicode=True, sort_keys=False, **{"default_flow_style": False, **form}
    )
    return text.removesuffix("\n").removesuffix("\n...") if in_braces else text


def load_config(path: Path, label: str) -> dict[str, Any]:
    """Return the mapping in ``path``.

    ``label`` names the file in errors.

    Raises:
        UserError: the file is not a strict, finite, shallow YAML mapping.
    """
    text = _read_text(path, label)
    loaded = load_strict(text, label)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise UserError(f"{label}: a config is a mapping of keys to values, not a {type(loaded).__name__}")
    return loaded


def load_strict(text: str, label: str) -> Any:
    """Return the value that ``text`` denotes, read strictly.

    Raises:
        UserError: see the module.
    """
    try:
        _check_shape(text, label)
        node = yaml.compose(text, Loader=StrictLoader)
        if node is None:
            return None
        _check_expansion(node, label)
        _check_keys(node, label)
        loader = StrictLoader("")
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        place = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{label}{place}: not valid YAML: {one_line(problem)}") from error


def load_value(text: str, label: str) -> Any:
    """Return the value of a command-line flag.

    It is YAML where that parses, and otherwise the text as it stands.

    So is ``C:`` or ``{a,b}``, which YAML takes for keys without values.
    """
    if _WORD.fullmatch(text):
        # Most values are, and the parser asks for the same ones again and again.
        with suppress(ValueError):
            return _word(text)
    try:
        _check_shape(text, label)
    except yaml.YAMLError:
        return text
    value = load_strict(text, label)
    keys_alone = isinstance(value, dict) and value and ": " not in text and all(one is None for one in value.values())
    return text if keys_alone else value


@lru_cache(maxsize=1024)
def _word(text: str) -> Any:
    """Return what one plain word denotes."""
    loader = StrictLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # PyYAML's own
    return loader.construct_object(yaml.ScalarNode(tag, text))


def first_not_finite(value: Any, key: str = "") -> tuple[str, float] | None:
    """Return the first number that is infinite or NaN.

    It comes as (dotted key, number), or None if all are finite.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return key, value
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        found = first_not_finite(inner, f"{key}.{name}" if key else str(name))
        if found:
            return found
    return None


def _read_text(path: Path, label: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{label}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{label}: a config has at most {MAX_BYTES:,} bytes, and this has {len(data):,}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{label}: not a text file (byte {error.start} is not UTF-8)") from error
    if "\0" in text:
        raise UserError(f"{label}: not a text file (it holds NUL bytes)")
    return text


def _check_shape(text: str, label: str) -> None:
    """Check the depth and size of a document.

    PyYAML makes events without recursion. The later, recursive steps are safe after this.
    """
    depth = nodes = 0
    for event in yaml.parse(text, Loader=StrictLoader):
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else "?"
            raise UserError(f"{label}, line {line}: nested deeper than {MAX_DEPTH} levels")
        if nodes > MAX_NODES:
            raise UserError(f"{label}: a config has at most {MAX_NODES:,} values")


def _check_expansion(root: yaml.Node, label: str) -> None:
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            raise UserError(f"{label}, line {node.start_mark.line + 1}: an alias refers to itself")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(map(size, _children(node)))
            open_nodes.discard(id(node))
        return sizes[id(node)]

    if size(root) > MAX_NODES:
        raise UserError(f"{label}: its aliases unfold into more than {MAX_NODES:,} values; write them out")


def _check_keys(node: yaml.Node, label: str, prefix: str = "") -> None:
    if not isinstance(node, yaml.MappingNode):
        for child in _children(node):
            _check_keys(child, label, prefix)
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (_STR_TAG, _INT_TAG, _MERGE):
            raise UserError(f"{label}, line {line}: a key must be a word, not {_plain(key)}")
        if key.tag == _INT_TAG:
            # All keys are texts; where an argument wants whole numbers as keys, the parser makes them of it.
            key.tag = _STR_TAG
        if key.value in seen and key.tag != _MERGE:
            raise UserError(
                f"{label}, line {line}: key {prefix}{key.value!s} stands twice (first in line {seen[key.value]})"
            )
        seen[key.value] = line
        _check_keys(value, label, f"{prefix}{key.value}.")


def _plain(node: yaml.Node) -> str:
    return (
        str(node.value)
        if isinstance(node, yaml.ScalarNode)
        else f"a {type(node).__name__.removesuffix('Node').lower()}"
    )


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
