"""The one place that takes passwords out of text before it is stored or shown."""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import quote

HIDDEN = "***"
# What stands before @ in scheme://name:password@host. A password may hold / and @; a number behind a colon is a port.
_USERINFO = re.compile(r"(?<=://)(?:[^\s\"'<>/:@]*:(?!\d+(?:[/\s\"'?#]|$))[^\s\"'<>]*@|[^\s\"'<>/@]+@)")
_QUERY = re.compile(r"([?&;](?:password|passwd|pwd|token|secret|api_?key|access_key)=)[^&\s\"'<>]+", re.IGNORECASE)
_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN$|API_?KEY|ACCESS_KEY|CREDENTIALS?$", re.IGNORECASE)
_NO_SECRET = re.compile(r"(?i:true|false|none|null|yes|no|on|off|[-+.\d]*)$")
_SHORTEST = 6


def redact(text: str) -> str:
    """Return ``text`` without names and passwords in addresses, and without the values of secret variables.

    A variable of the environment is secret if its name says so (password, secret, key; ending in token). Its value is
    looked for as a word of its own. Numbers, truth values, and values of fewer than six characters are not looked for:
    they stand in every text.
    """
    for secret in _secrets():
        if secret in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", HIDDEN, text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text) if "=" in text else text
    return _USERINFO.sub(f"{HIDDEN}@", text) if "://" in text else text


def redact_leaves(value: Any) -> Any:
    """Return a tree of mappings and lists with its texts redacted; keys and numbers are as they were."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: redact_leaves(item) for name, item in value.items()}
    return [redact_leaves(item) for item in value] if isinstance(value, list | tuple) else value


def has_secret_query(address: str) -> bool:
    """Return whether an address carries a password among its parameters."""
    return _QUERY.search(address) is not None


def _secrets() -> set[str]:
    values = {
        value
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST and not _NO_SECRET.match(value)
    }
    # As they look inside quotes of JSON and YAML, and inside an address.
    escaped = {value.replace("\\", "\\\\").replace('"', '\\"') for value in values}
    return values | escaped | {quote(value, safe="") for value in values}
