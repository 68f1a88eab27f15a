"""Settings in the names of runs and folders.

They are read only where a person says how, as ``{optimizer}_seed{seed}``.
"""

from __future__ import annotations

import re

from lit_lossopt.core.errors import UserError

_HOLE = re.compile(r"\{([^{}]*)\}")
# A part of a name that says nothing.
_IGNORED = "_"
EXAMPLE = "'{optimizer}_seed{seed}'"


class NamePattern:
    """What a name says.

    >>> NamePattern("{optimizer}/seed_{seed}/{_}").params_of("/runs/adam/seed_3/version_0")
    {'optimizer': 'adam', 'seed': '3'}

    Args:
        text: with names of parameters in braces. It fits the end of a name, and ``{_}`` fits what says nothing.

    Raises:
        UserError: it has no braces, or one name twice.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        parts = _HOLE.split(text.strip("/"))
        self._names = [name for name in parts[1::2] if name != _IGNORED]
        if not self._names or "" in self._names or len(set(self._names)) < len(self._names):
            raise UserError(f"import --name-pattern {text}: put each parameter once in braces, as {EXAMPLE}")
        # What stands between braces is of one folder, and as short as can be. So {a}_{b} splits at the first mark.
        pieces = [re.escape(part) if not place % 2 else _piece(part) for place, part in enumerate(parts)]
        self._pattern = re.compile(f"(?:^|.*/){''.join(pieces)}")

    def params_of(self, name: str) -> dict[str, str]:
        """Return the parameters in a name.

        Raises:
            UserError: the name does not fit.
        """
        found = self._pattern.fullmatch(name)
        if found is None:
            raise UserError(
                f"import --name-pattern {self.text}: the name {name} does not fit it; write it as {EXAMPLE}"
            )
        return dict(zip(self._names, found.groups(), strict=True))


def _piece(name: str) -> str:
    return "[^/]+?" if name == _IGNORED else "([^/]+?)"
