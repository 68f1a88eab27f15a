"""From the words a person typed to checked settings.

Sources are merged. Nothing heavy is imported, so that a typing error answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lit_lossopt.config.branch import BRANCH, read_origin
from lit_lossopt.config.check import check_finite, check_settings, folded
from lit_lossopt.config.files import find_config
from lit_lossopt.config.lightning_callbacks import check_named, flag_for_parser, settings_for_parser
from lit_lossopt.config.merge import DEFAULTS, Settings, merge_flags
from lit_lossopt.config.record_switch import check_together, unrecorded, without_switch
from lit_lossopt.config.signatures import FAMILIES, full_class_path
from lit_lossopt.config.strict_yaml import dump_yaml, load_config, load_value
from lit_lossopt.config.twin import TWIN, TWIN_CHOICES, TWIN_DEFAULTS, trainer_method
from lit_lossopt.core.errors import UserError, did_you_mean, printable
from lit_lossopt.core.paths import given_path, is_file

_LOOKING = ("help", "help-all", "print_config")
# Keys that name a state to begin from.
_STATES = ("ckpt_path", BRANCH)
_NEEDS_CHECKPOINT = ("validate", "test", "predict")


# In place of a file: the newest of the experiment.
LAST = "last"
Flag = tuple[str, str | None]


@dataclass
class CommandLine:
    """What was typed after the command.

    It is sorted by who deals with it.

    Attributes:
        configs: names given by ``--config``, in order.
        flags: (key, value) of flags that set a class or its arguments; merged by this package.
        rest: (key, value or None) of all other flags, left to the parser.
        allowed: packages given by ``--allow-import``.
        resume: the word behind ``--resume``.
    """

    configs: list[str] = field(default_factory=list)
    flags: list[tuple[str, str]] = field(default_factory=list)
    rest: list[Flag] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    resume: str = ""


@dataclass(frozen=True)
class Prepared:
    """A command with its settings, ready for the parser.

    Attributes:
        command: ``fit``, ``validate``, ``test`` or ``predict``, which is also the Trainer's method.
        settings: what was merged.
        rest: (key, value or None) of flags left to the parser.
        allowed: packages given by ``--allow-import``.
        words: what was typed, the command first.
        resume: ``auto``: go on with an unfinished run of the same settings, if there is one; ``force``: with the run
            of ``--ckpt_path`` although settings have changed; empty: with that run if nothing has changed.
        unrecorded: what switches the run's record off, and where that was said; empty: it is recorded.
    """

    command: str
    settings: Settings
    rest: list[Flag]
    allowed: list[str]
    words: list[str]
    resume: str = ""
    unrecorded: str = ""

    def arguments(self) -> list[str]:
        """Return the words for the parser: one config holding everything that was merged, then the rest."""
        words = [f"--{key}" if value is None else f"--{key}={_for_parser(key, value)}" for key, value in self.rest]
        tree = settings_for_parser(self.settings)
        return [self.command, f"--config={dump_yaml(tree, in_braces=True)}", *words]


def prepare(command: str, words: list[str]) -> Prepared:
    """Return the merged and checked settings.

    They are those of ``fit``, ``twin``, ``validate``, ``test`` or ``predict``.

    Raises:
        UserError: anything that can be seen to be wrong without importing the libraries.
    """
    line = split_words(words)
    settings = merged(line, {TWIN: TWIN_DEFAULTS} if command == TWIN else {})
    off, rest = unrecorded(settings, line.rest), without_switch(line.rest)
    keys = [key for key, _ in rest if key not in _LOOKING and not key.endswith(".help")]
    check_settings(settings, command, keys, line.allowed)
    for key, text in rest:
        # A run may be named .inf.
        if key.startswith("trainer."):
            check_finite(key, load_value(text or "", f"--{key}"), settings)
    check_named(settings, rest)
    _check_twin(settings, rest)
    if command != TWIN:
        # How weights were trained does not matter to what evaluates them.
        settings.tree.pop(TWIN, None)
        rest = [(key, value) for key, value in rest if not key.startswith(f"{TWIN}.")]
    method = trainer_method(command)
    prepared = Prepared(method, settings, rest, line.allowed, [command, *words], line.resume, off)
    _check_checkpoint(prepared)
    return prepared


def only_looks(prepared: Prepared) -> bool:
    """Return True if nothing is run.

    Settings or help are shown instead.
    """
    return any(key in _LOOKING or key.endswith(".help") for key, _ in prepared.rest)


def merged(line: CommandLine, more: Mapping[str, Any] = MappingProxyType({})) -> Settings:
    """Return defaults, configs and flags in one, unchecked.

    Args:
        line: what was typed.
        more: further defaults.
    """
    settings = Settings()
    settings.merge({**DEFAULTS, **more}, "the defaults")
    for name in line.configs:
        path = find_config(name)
        tree = load_config(path, str(path))
        if "sweep" in tree:
            raise UserError(
                f"--config {name}: a plan of a sweep, not a config; run it with: lossopt sweep --config {name}"
            )
        settings.merge(tree, str(path))
    merge_flags(settings, line.flags)
    return settings


def split_words(words: list[str]) -> CommandLine:
    """Sort the words after the command.

    Raises:
        UserError: a word that is neither a flag nor a flag's value, a flag without its value, or a word that is
            not UTF-8.
    """
    line, queue = CommandLine(), list(words)
    unreadable = next((word for word in words if not _is_utf8(word)), None)
    if unreadable is not None:
        raise UserError(f"{printable(unreadable)}: not UTF-8, and a config can hold nothing else; rename the file")
    while queue:
        key, value = next_flag(queue)
        if key in ("config", "allow-import", "resume") or folded(key):
            if value is None:
                raise UserError(f"--{key}: a value is missing")
            if key == "config":
                line.configs.append(value)
            elif key == "allow-import":
                line.allowed.append(value)
            elif key == "resume":
                line.resume = value
            else:
                line.flags.append((key, value))
        else:
            line.rest.append(("help" if key == "help-all" else key, value))
    return line


def next_flag(queue: list[str]) -> Flag:
    """Take a flag from the front of the words.

    Its value, if it has one, is taken too.
    """
    word = queue.pop(0)
    if word.startswith("-c") and not word.startswith("--"):
        word = f"--config={word[2:].lstrip('=')}" if len(word) > 2 else "--config"
    if not word.startswith("--"):
        raise UserError(f"{word}: not a flag; flags begin with -- (a config is named with --config {word})")
    key, equals, value = word[2:].partition("=")
    if key.removesuffix(".class_path") in FAMILIES:
        key = key.removesuffix(".class_path")
    if equals:
        return key, value
    if key in _LOOKING or not queue or queue[0].startswith("--"):
        return key, None
    return key, queue.pop(0)


def _for_parser(key: str, value: str) -> str:
    family = key.removesuffix(".help")
    # The parser knows only classes that were imported, and finds several of some names, as of Muon.
    return full_class_path(family, value) if key != family and family in FAMILIES else flag_for_parser(key, value)


def _is_utf8(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_begins_afresh(prepared: Prepared, why: str) -> None:
    """Refuse settings that name a state to begin from.

    Args:
        prepared: the settings.
        why: the command, and that it begins with the initial weights.

    Raises:
        UserError: there is such a setting.
    """
    given = {key for key, _ in prepared.rest} & {*_STATES, "weights_only"}
    if prepared.resume or given or any(prepared.settings.tree.get(key) for key in _STATES):
        raise UserError(f"{why}; leave out --ckpt_path, --{BRANCH} and --resume")


def without_flags(words: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return words without the flags of some keys.

    Their values are left out, too.
    """
    queue, kept = list(words), []
    while queue:
        before = list(queue)
        key, _ = next_flag(queue)
        if key not in keys:
            kept += before[: len(before) - len(queue)]
    return kept


def _check_checkpoint(prepared: Prepared) -> None:
    typed = dict(prepared.rest)
    given = typed.get("ckpt_path", prepared.settings.tree.get("ckpt_path"))
    if given is None and prepared.command in _NEEDS_CHECKPOINT and not only_looks(prepared):
        raise UserError(
            f"{prepared.command}: name trained weights with --ckpt_path FILE (a run keeps its best and last under "
            "mlruns/<experiment>/<run id>/artifacts/checkpoints)"
        )
    _check_resume(prepared, given)
    _check_branch(prepared, typed.get(BRANCH, prepared.settings.tree.get(BRANCH)), typed)
    check_together(prepared.unrecorded, prepared.resume, given)
    if given == LAST and prepared.command == "fit":
        return
    if isinstance(given, str) and "://" in given:
        raise UserError(f"--ckpt_path {given}: only a local file is loaded; download it first if you trust it")
    if given is not None and not is_file(given_path(str(given))):
        raise UserError(f"--ckpt_path {given}: no such file")


def _check_branch(prepared: Prepared, branch: object, typed: Mapping[str, str | None]) -> None:
    """Refuse a branch that can be seen to be wrong."""
    if branch is None:
        return
    if BRANCH in typed and prepared.command != "fit":
        raise UserError(f"--{BRANCH}: fit begins a branch, and {prepared.command} takes --ckpt_path; leave it out")
    read_origin(str(branch), f"--{BRANCH}")
    if prepared.command == "fit" and {BRANCH, "ckpt_path"} <= typed.keys():
        raise UserError(f"--{BRANCH} begins a new run, and --ckpt_path goes on with one; leave one of them out")


def _check_twin(settings: Settings, rest: Sequence[Flag]) -> None:
    """Refuse what no setting of the twin can be."""
    given = {**(settings.tree.get(TWIN) or {}), **{key.removeprefix(f"{TWIN}."): value for key, value in rest}}
    for name, known in TWIN_CHOICES.items():
        if given.get(name, known[0]) not in known:
            raise UserError(
                f"{TWIN}.{name}={given[name]}{did_you_mean(str(given[name]), known)}: there are {' and '.join(known)}"
            )


def _check_resume(prepared: Prepared, checkpoint: object) -> None:
    if not prepared.resume:
        return
    if prepared.command != "fit" or prepared.resume not in ("auto", "force"):
        raise UserError(f"--resume {prepared.resume}: fit takes --resume auto, or --resume force with --ckpt_path")
    if (prepared.resume == "auto") == (checkpoint is not None):
        raise UserError(
            "--resume auto finds its checkpoint itself; leave out --ckpt_path"
            if prepared.resume == "auto"
            else "--resume force: name what to go on with, as --ckpt_path last"
        )
