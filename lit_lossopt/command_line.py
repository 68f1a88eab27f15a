"""From the words a person typed to merged, checked settings. Imports nothing heavy: a typing error answers at once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from lit_lossopt.config_check import check_settings, folded
from lit_lossopt.config_files import find_config
from lit_lossopt.config_merge import DEFAULTS, Settings, merge_flags
from lit_lossopt.config_yaml import load_config
from lit_lossopt.errors import UserError

TRAINER_COMMANDS = ("fit", "validate", "test", "predict")
_NEEDS_CHECKPOINT = ("validate", "test", "predict")


@dataclass
class CommandLine:
    """What was typed after the command, sorted by who deals with it.

    Attributes:
        configs: names given by ``--config``, in order.
        flags: (key, value) of flags that set a class or its arguments; merged by this package.
        rest: all other words, left to the parser as they are.
        allowed: packages given by ``--allow-import``.
    """

    configs: list[str] = field(default_factory=list)
    flags: list[tuple[str, str]] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def rest_keys(self) -> list[str]:
        """Return the keys among the words left to the parser."""
        keys = [word[2:].partition("=")[0] for word in self.rest if word.startswith("--")]
        return [key for key in keys if key not in ("help", "print_config") and not key.endswith(".help")]


@dataclass(frozen=True)
class Prepared:
    """A command with its settings, ready for the parser."""

    command: str
    settings: Settings
    rest: list[str]
    allowed: list[str]

    def arguments(self) -> list[str]:
        """Return the words for the parser: one config holding everything that was merged, then the rest."""
        return [self.command, f"--config={json.dumps(self.settings.tree)}", *self.rest]


def prepare(command: str, words: list[str]) -> Prepared:
    """Return the merged and checked settings of ``fit``, ``validate``, ``test`` or ``predict``.

    Raises:
        UserError: anything that can be seen to be wrong without importing the libraries.
    """
    line = split_words(words)
    settings = Settings()
    settings.merge(DEFAULTS, "the defaults")
    for name in line.configs:
        path = find_config(name)
        settings.merge(load_config(path, str(path)), str(path))
    merge_flags(settings, line.flags)
    check_settings(settings, command, line.rest_keys(), line.allowed)
    _check_checkpoint(command, settings, line)
    return Prepared(command, settings, line.rest, line.allowed)


def split_words(words: list[str]) -> CommandLine:
    """Sort the words after the command.

    Raises:
        UserError: a word that is neither a flag nor a flag's value, or a flag without its value.
    """
    line, queue = CommandLine(), list(words)
    while queue:
        word = queue.pop(0)
        if word.startswith("-c") and not word.startswith("--"):
            word, queue = "--config", [word[2:].lstrip("="), *queue] if len(word) > 2 else queue
        if not word.startswith("--"):
            raise UserError(f"{word}: not a flag; flags begin with -- (a config is named with --config {word})")
        key, equals, value = word[2:].partition("=")
        is_ours = key in ("config", "allow-import") or folded(key)
        if is_ours and not equals:
            if not queue or (queue[0].startswith("--") and len(queue[0]) > 2):
                raise UserError(f"--{key}: a value is missing")
            value = queue.pop(0)
        if key == "config":
            line.configs.append(value)
        elif key == "allow-import":
            line.allowed.append(value)
        elif folded(key):
            line.flags.append((key, value))
        else:
            line.rest.append("--help" if word == "--help-all" else word)
            takes_next = not equals and queue and not queue[0].startswith("--") and key not in ("help", "print_config")
            line.rest += [queue.pop(0)] if takes_next else []
    return line


def _check_checkpoint(command: str, settings: Settings, line: CommandLine) -> None:
    given = settings.tree.get("ckpt_path")
    for index, word in enumerate(line.rest):
        if word == "--ckpt_path":
            given = next(iter(line.rest[index + 1 :]), None)
        elif word.startswith("--ckpt_path="):
            given = word.partition("=")[2]
    wants_help = any("help" in word or word.startswith("--print_config") for word in line.rest)
    if given is None and command in _NEEDS_CHECKPOINT and not wants_help:
        raise UserError(
            f"{command}: name trained weights with --ckpt_path FILE (a run keeps its best and last under "
            "mlruns/<experiment>/<run id>/artifacts/checkpoints)"
        )
    if isinstance(given, str) and "://" in given:
        raise UserError(f"--ckpt_path {given}: only a local file is loaded; download it first if you trust it")
    if given is not None and not Path(str(given)).is_file():
        raise UserError(f"--ckpt_path {given}: no such file")
