"""Settings of a ``hparams.yaml``, as Lightning writes it.

The texts stay as they are written. Python objects in the file are named and never made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from lit_lossopt.core.errors import UserError, one_line

FILE = "hparams.yaml"
_CLASS, _TUPLE = "tag:yaml.org,2002:python/name:", "tag:yaml.org,2002:python/tuple"
_OBJECT = "tag:yaml.org,2002:python/"
# Aliases may unfold into more than anyone has set.
_MOST, _DEEPEST = 10_000, 40


def read_hparams(folder: Path, left_out: Counter[str]) -> dict[str, str]:
    """Return the settings in a folder's ``hparams.yaml``.

    Args:
        folder: which may have none.
        left_out: gets the number of settings that are Python objects.

    Raises:
        UserError: the file cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"import {path}: cannot be read as YAML: {one_line(str(error), 150)}; mend or remove it") from (
            error
        )
    params: dict[str, str] = {}
    for name, value in _leaves(node, "", 0):
        if value is None:
            left_out[f"Python objects in {FILE}"] += 1
        else:
            params[name] = value
        if len(params) > _MOST:
            raise UserError(f"import {path}: it holds more than {_MOST:,} settings; remove what is no setting")
    return params


def _leaves(node: yaml.Node | None, name: str, depth: int) -> Iterator[tuple[str, str | None]]:
    """Yield dotted names and texts.

    None stands for a Python object.
    """
    if node is None or depth > _DEEPEST:
        return
    if node.tag.startswith(_CLASS):
        yield name, node.tag.removeprefix(_CLASS)
    elif node.tag.startswith(_OBJECT) and node.tag != _TUPLE:
        yield name, None
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _leaves(value, f"{name}.{key.value}" if name else str(key.value), depth + 1)
    elif name:
        yield name, _text(node, depth)


def _text(node: yaml.Node, depth: int) -> str:
    if isinstance(node, yaml.SequenceNode) and depth <= _DEEPEST:
        return f"[{', '.join(_text(item, depth + 1) for item in node.value)}]"
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "…"
