"""Shell completion in a tenth of a second.

It completes commands, config names, flags, class names and their arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lit_lossopt.config.check import FILLED
from lit_lossopt.config.files import known_names, plan_names
from lit_lossopt.config.help import FLAGS, Command
from lit_lossopt.config.signatures import FAMILIES, class_parameters, names_to_choose
from lit_lossopt.config.words import merged, split_words
from lit_lossopt.core.errors import UserError
from lit_lossopt.core.flags import Flag
from lit_lossopt.core.names import Exit

FlagsOf = Callable[[Command], Sequence[Flag]]

_BASH = """\
_lossopt() {
    local IFS=$'\\n' word="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=($(compgen -W "$(lossopt __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "$word"))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
COMP_WORDBREAKS="${COMP_WORDBREAKS//=/}"
complete -o default -F _lossopt lossopt
"""
_SCRIPTS = {"bash": _BASH, "zsh": f"autoload -U +X bashcompinit && bashcompinit\n{_BASH}"}


def script(words: list[str]) -> str:
    """Return the completion script for ``bash`` or ``zsh``.

    Raises:
        UserError: another shell.
    """
    if len(words) != 1 or words[0] not in _SCRIPTS:
        raise UserError(f"completion: name one shell of {', '.join(_SCRIPTS)}, got: {' '.join(words) or 'none'}")
    return _SCRIPTS[words[0]]


def show_script(words: Sequence[str]) -> int:
    """Print the completion script of a shell, and return the exit status."""
    print(script(list(words)), end="")
    return Exit.DONE


def candidates(words: list[str], commands: Mapping[str, Command], flags_of: FlagsOf) -> list[str]:
    """Return what the last word can become.

    Args:
        words: all words so far, without the program's name.
        commands: the table of commands.
        flags_of: gives the flags that a command declares.
    """
    current = words[-1] if words else ""
    if len(words) <= 1:
        return [*commands, "--help"]
    command = commands.get(words[0])
    own = [flag.name for flag in flags_of(command)] if command else []
    if command and not command.takes_settings and not command.runs_others:
        return own
    if words[-2] in ("--config", "-c"):
        return _config_names(words)
    key, equals, _ = current.removeprefix("--").partition("=")
    if equals:
        values = _config_names(words) if key == "config" else names_to_choose(key) if key in FAMILIES else []
        return [f"--{key}={value}" for value in values]
    if words[-2].removeprefix("--") in FAMILIES:
        return names_to_choose(words[-2].removeprefix("--"))
    settings = [flag.split()[0] for group in FLAGS.values() for flag, _ in group]
    return sorted({*settings, *own, *_argument_flags(words[:-1])} - {"--key=value"})


def _config_names(words: list[str]) -> list[str]:
    return [*plan_names(), *known_names()] if words[0] == "sweep" else known_names()


def _argument_flags(words: list[str]) -> list[str]:
    """Return the flags of the arguments of chosen classes.

    ``--model.optimizer.lr=`` is one. Configs and flags have chosen the classes so far.
    """
    try:
        settings = merged(split_words(words[1:]))
    except UserError:
        settings = merged(split_words([]))
    choices = {family: settings.value(family) for family in FAMILIES}
    chosen = {family: choice["class_path"] for family, choice in choices.items() if isinstance(choice, dict)}
    return [
        f"--{family}.{name}="
        for family, class_path in chosen.items()
        for name in class_parameters(family, class_path) or {}
        if name not in FILLED.get(family, ())
    ]
