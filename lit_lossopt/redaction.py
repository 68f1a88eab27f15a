"""The one place that takes passwords out of text before it is stored or shown."""

from __future__ import annotations

import json
import os
import re
from urllib.parse import quote

HIDDEN = "***"
# The part before @ in scheme://name:password@host; a quote or a space ends an address.
_USERINFO = re.compile(r"(?<=://)[^/\s\"'<>@]+@")
_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
_SHORTEST = 4


def redact(text: str) -> str:
    """Return ``text`` without names and passwords in addresses, and without the values of secret variables.

    A variable of the environment is secret if its name says so (password, token, secret, key); values of fewer than
    four characters are not looked for, since they would take ordinary words apart.
    """
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    return _USERINFO.sub(f"{HIDDEN}@", text) if "://" in text else text


def _secrets() -> set[str]:
    values = {value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST}
    # As they look inside JSON, and inside an address.
    spellings = {spelling for value in values for spelling in (value, json.dumps(value)[1:-1], quote(value, safe=""))}
    return {spelling for spelling in spellings if spelling != HIDDEN}
