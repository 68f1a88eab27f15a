"""Several sources of settings become one.

A changed class never inherits the arguments of another class.

The sources are the defaults, each ``--config`` in order, then the flags in order; the later wins. LightningCLI would
keep every argument that the new class also accepts: ``sgd.yaml`` (lr 0.1, weight decay 5e-4) and then ``adamw.yaml``
would train AdamW with SGD's rate and decay, in silence. Here a class keeps its arguments while it stays the same
class, and starts from its own defaults when it changes. Only arguments that a family's base class in this package
declares (batch size, classes and seed of the data modules) outlive a change: they mean the same in each class.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from lit_lossopt.config.keys import nested, undotted
from lit_lossopt.config.signatures import FAMILIES, LISTS, class_parameters, full_class_path, shared_parameters
from lit_lossopt.config.strict_yaml import load_value
from lit_lossopt.core.errors import UserError

Tree = dict[str, Any]

DEFAULTS: Tree = {
    "model": {
        "network": "MiniCNN",
        "criterion": "CrossEntropyLoss",
        "optimizer": {"class_path": "Adam", "init_args": {"lr": 1e-3}},
    },
    "data": "DigitsDataModule",
}
# First keys that hold settings, each with one of them as an example.
GROUPS = {
    "model": "criterion",
    "trainer": "max_epochs",
    "tracking": "experiment",
    "predictions": "path",
    "checkpoints": "every_n_steps",
    "probe": "images",
    "twin": "rule",
}
COMMAND_LINE = "the command line"
# What switches a run's record off, where it is false.
TRACKING, LOGGER = "tracking", "trainer.logger"
# Settings that speak of a class chosen beside them, and so go with it.
COMPANIONS = (
    ("model.optimizer", "model.decay_biases"),
    ("model.lr_scheduler", "model.lr_scheduler_interval"),
    ("model.network", "model.frozen_epochs"),
    ("model.network", "model.backbone_lr_factor"),
    ("model.network", "model.weights"),
)
_CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")


@dataclass
class Settings:
    """The merged settings and where they come from.

    Each dotted key has the source that set it last.

    ``recording`` holds, in order, what was said of the run's record: key, value, source.
    """

    tree: Tree = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    recording: list[tuple[str, Any, str]] = field(default_factory=list)

    def origin(self, key: str) -> str:
        """Return the source of ``key``.

        It may be that of what lies below it, or of the nearest key above it that was set whole.
        """
        below = (source for name, source in self.origins.items() if name.startswith(f"{key}."))
        found = self.origins.get(key) or next(below, None)
        while found is None and key:
            key = key.rpartition(".")[0]
            found = self.origins.get(key)
        return found or COMMAND_LINE

    def value(self, key: str) -> Any:
        """Return the value at a dotted key, or None.

        Arguments of classes are included.
        """
        node: Any = self.tree
        for part in key.split("."):
            arguments = node.get("init_args") if isinstance(node, dict) else None
            node = (arguments or node).get(part) if isinstance(arguments or node, dict) else None
        return node

    def merge(self, tree: Tree, source: str) -> None:
        """Lay ``tree`` over the settings.

        Its keys may be dotted, as ``model.optimizer.lr: 0.1``.

        Raises:
            UserError: a group of settings, or a class's arguments, is not a mapping; or a key stands twice, dotted and
                nested.
        """
        before = {family: (self._class_at(family), self.origins.get(family)) for family, _ in COMPANIONS}
        self._merge(self.tree, undotted(copy.deepcopy(tree), source), source, "")
        for family, key in COMPANIONS:
            old_class, old_source = before[family]
            changed = old_class is not None and self._class_at(family) != old_class
            if changed and self.origins.get(key) == old_source:
                group, _, name = key.partition(".")
                self.tree[group].pop(name, None)

    def merge_flag(self, key: str, text: str) -> None:
        """Lay one flag over the settings.

        Examples are ``--model.optimizer.lr=1e-3`` and ``--model.optimizer=SGD``.
        """
        family = family_of(key)
        argument = key[len(family) + 1 :].removeprefix("init_args.") if family else key
        current = self._at(family) if family else None
        annotations = class_parameters(family, current.get("class_path", "")) if isinstance(current, dict) else None
        wants_text = (annotations or {}).get(argument, "").startswith(("str", "Path"))
        value = text if wants_text else load_value(text, f"--{key}")
        if family and argument and argument not in _CLASS_KEYS:
            value = {"init_args": {argument: value}}
        elif family and argument:
            value = {argument: value}
        self.merge(nested(family or key, value), COMMAND_LINE)

    def _class_at(self, family: str) -> str | None:
        choice = self._at(family)
        return choice.get("class_path") if isinstance(choice, dict) else None

    def _at(self, key: str) -> Any:
        node: Any = self.tree
        for part in key.split("."):
            node = node.get(part, {}) if isinstance(node, dict) else {}
        return node

    def _merge(self, into: Tree, tree: Tree, source: str, prefix: str) -> None:
        for name, value in tree.items():
            key, old = f"{prefix}{name}", into.get(name)
            if key in (TRACKING, LOGGER) or key.startswith(f"{TRACKING}."):
                self.recording += [] if key == TRACKING and isinstance(value, dict) else [(key, value, source)]
                if key == TRACKING and isinstance(value, bool):
                    continue
            if key in GROUPS and not isinstance(value, dict):
                raise UserError(f"{key}={value} from {source}: give its parts, as {key}.{GROUPS[key]}")
            new = _as_class(key, value, source) if key in FAMILIES else value
            if name.endswith("+") and isinstance(new, list):
                into[name[:-1]] = [*(into.get(name[:-1]) or []), *new]
                self.origins[key[:-1]] = source
            elif isinstance(new, dict) and (key in FAMILIES or "class_path" in new):
                into[name] = self._merge_class(old if isinstance(old, dict) else {}, new, source, key)
            elif isinstance(new, dict) and isinstance(old, dict):
                self._merge(old, new, source, f"{key}.")
            elif isinstance(new, dict):
                into[name] = {}
                self._merge(into[name], new, source, f"{key}.")
            else:
                into[name] = new
                self.origins[key] = source

    def _merge_class(self, old: Tree, new: Tree, source: str, key: str) -> Tree:
        arguments = dict(old.get("init_args") or {})
        if new.get("class_path", old.get("class_path")) != old.get("class_path"):
            shared = shared_parameters(key) if key in FAMILIES else set()
            arguments = {name: value for name, value in arguments.items() if name in shared}
            old = {}
        given = new.get("init_args") or {}
        self.origins[key] = source
        self.origins.update({f"{key}.{name}": source for name in given})
        nested = {name: self._merge_nested(arguments.get(name), given[name], source, f"{key}.{name}") for name in given}
        merged = {**old, **new, "init_args": {**arguments, **nested}}
        return {name: value for name, value in merged.items() if value != {}}

    def _merge_nested(self, old: Any, new: Any, source: str, key: str) -> Any:
        """Return an argument that may itself be a class.

        A list of classes of a family is possible, too.
        """
        if key not in FAMILIES or new is None:
            return new
        if key in LISTS:
            return [_as_class(key, item, source) for item in (new if isinstance(new, list) else [new])]
        form = _as_class(key, new, source)
        return self._merge_class(old if isinstance(old, dict) else {}, form, source, key)


def family_of(key: str) -> str:
    """Return the class-valued key above or at ``key``.

    The result is empty if there is none.
    """
    return next((family for family in FAMILIES if key == family or key.startswith(f"{family}.")), "")


def merge_flags(settings: Settings, flags: list[tuple[str, str]]) -> None:
    """Apply flags in their order.

    A class comes before arguments that were typed ahead of it.

    ``--model.optimizer.lr=0.1 --model.optimizer=SGD`` means SGD at 0.1, in either order.
    """
    rank = {key: index for index, (key, _) in reversed(list(enumerate(flags))) if key in FAMILIES}
    first_use = {family: min(i for i, (key, _) in enumerate(flags) if family_of(key) == family) for family in rank}
    order = sorted(
        range(len(flags)),
        key=lambda i: first_use[flags[i][0]] - 0.5 if rank.get(flags[i][0]) == i else i,
    )
    for index in order:
        settings.merge_flag(*flags[index])


def _as_class(key: str, value: Any, source: str) -> Any:
    """Return the one form of a class-valued setting.

    It has the full class path and the arguments.
    """
    if isinstance(value, dict) and not isinstance(value.get("init_args") or {}, dict):
        raise UserError(f"{key}.init_args={value['init_args']!r} from {source}: not a mapping of arguments to values")
    if isinstance(value, str):
        return {"class_path": full_class_path(key, value)}
    if not isinstance(value, dict):
        return value
    form = with_init_args(key, value, source)
    if isinstance(form.get("class_path"), str):
        form["class_path"] = full_class_path(key, form["class_path"])
    return form


def with_init_args(key: str, choice: Tree, source: str) -> Tree:
    """Return a class with its arguments under ``init_args``.

    They may also stand beside the name of the class.

    Raises:
        UserError: an argument stands in both places.
    """
    given = choice.get("init_args") or {}
    loose = {name: item for name, item in choice.items() if name not in _CLASS_KEYS}
    clash = next((name for name in loose if name in given), "")
    if clash:
        raise UserError(f"{key}.{clash} from {source}: stands twice, with init_args and without")
    form = {name: item for name, item in choice.items() if name in _CLASS_KEYS}
    return {**form, "init_args": {**given, **loose}} if loose else form
