"""Dotted keys and the tree that they stand for.

``model.optimizer.lr: 0.1`` of one source is laid into the nested tree.
"""

from __future__ import annotations

from typing import Any

from lit_lossopt.core.errors import UserError

Tree = dict[str, Any]


def nested(key: str, value: Any) -> Tree:
    """Return the tree that a dotted key and its value stand for."""
    for part in reversed(key.split(".")):
        value = {part: value}
    tree: Tree = value
    return tree


def undotted(tree: Tree, source: str) -> Tree:
    """Return ``tree`` without dotted keys.

    The order of its keys then no longer means anything.

    Keys may be dotted at the top and within a group such as ``model``. Below that a dot belongs to a name, as in the
    tags of a run.

    Args:
        tree: of one source.
        source: its name, for errors.

    Raises:
        UserError: a key stands twice, in two of these forms.
    """
    whole: Tree = {}
    for name, value in tree.items():
        inner = undotted_group(value, source, name) if isinstance(value, dict) and "." not in name else value
        _lay(whole, nested(name, inner), source, "")
    return whole


def undotted_group(group: Tree, source: str, name: str) -> Tree:
    """Return the mapping below the first key, without dotted keys.

    The first key is ``name``.
    """
    whole: Tree = {}
    for key, value in group.items():
        _lay(whole, nested(key, value), source, f"{name}.")
    return whole


def _lay(into: Tree, tree: Tree, source: str, prefix: str) -> None:
    for name, value in tree.items():
        key, old = f"{prefix}{name}", into.get(name)
        if name not in into:
            into[name] = value
        elif isinstance(old, dict) and isinstance(value, dict):
            _lay(old, value, source, f"{key}.")
        elif form := _class_with(old, value) or _class_with(value, old):
            into[name] = form
        else:
            raise UserError(f"{key} from {source}: stands twice, once with dots; leave one of them out")


def _class_with(value: Any, arguments: Any) -> Tree:
    """Return a class with arguments that another form adds.

    It is empty where the two forms are not that.
    """
    if isinstance(value, str) and isinstance(arguments, dict) and "class_path" not in arguments:
        return {"class_path": value, **arguments}
    return {}
