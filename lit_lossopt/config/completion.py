"""Shell completion in a tenth of a second.

It completes commands, config names, flags, class names and their arguments.
"""

from __future__ import annotations

from lit_lossopt.config.check import FILLED
from lit_lossopt.config.files import known_names, plan_names
from lit_lossopt.config.help import COMMANDS, COMPARE_FLAGS, EXPORT_FLAGS, FLAGS, LR_FLAGS, SWEEP_FLAGS
from lit_lossopt.config.signatures import FAMILIES, class_parameters, class_paths
from lit_lossopt.config.words import merged, split_words
from lit_lossopt.core.errors import UserError

_BASH = """\
_lossopt() {
    local IFS=$'\\n' word="${COMP_WORDS[COMP_CWORD]}"
    COMPREPLY=($(compgen -W "$(lossopt __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "$word"))
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
COMP_WORDBREAKS="${COMP_WORDBREAKS//=/}"
complete -o default -F _lossopt lossopt
"""
_OWN_FLAGS = {"compare": COMPARE_FLAGS, "export": EXPORT_FLAGS}
_SCRIPTS = {"bash": _BASH, "zsh": f"autoload -U +X bashcompinit && bashcompinit\n{_BASH}"}


def script(words: list[str]) -> str:
    """Return the completion script for ``bash`` or ``zsh``.

    Raises:
        UserError: another shell.
    """
    if len(words) != 1 or words[0] not in _SCRIPTS:
        raise UserError(f"completion: name one shell of {', '.join(_SCRIPTS)}, got: {' '.join(words) or 'none'}")
    return _SCRIPTS[words[0]]


def candidates(words: list[str]) -> list[str]:
    """Return what the last word can become.

    The words before it are given without the program's name.
    """
    current = words[-1] if words else ""
    if len(words) <= 1:
        return [*COMMANDS, "--help"]
    if words[0] in _OWN_FLAGS:
        return [flag.split()[0] for flag, _ in _OWN_FLAGS[words[0]]]
    if words[-2] in ("--config", "-c"):
        return _config_names(words)
    key, equals, _ = current.removeprefix("--").partition("=")
    if equals:
        values = _config_names(words) if key == "config" else list(class_paths(key)) if key in FAMILIES else []
        return [f"--{key}={value}" for value in values]
    if words[-2].removeprefix("--") in FAMILIES:
        return list(class_paths(words[-2].removeprefix("--")))
    flags = [flag.split()[0] for group in FLAGS.values() for flag, _ in group]
    if words[0] == "sweep":
        flags = [*flags, *(flag.split()[0] for flag, _ in SWEEP_FLAGS if not flag.startswith("--key"))]
    if words[0] == "lr-find":
        flags += [flag.split()[0] for flag, _ in LR_FLAGS]
    return sorted({*flags, *_argument_flags(words[:-1])})


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
