"""Passwords, taken out of text before it is stored or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "***"
# What stands before @ in scheme://name:password@host. A password may hold / and @; a number behind a colon is a port.
_USERINFO = re.compile(r"(?<=://)(?:[^\s\"'<>/:@]*:(?!\d+(?:[/\s\"'?#]|$))[^\s\"'<>]*@|[^\s\"'<>/@]+@)")
# Also of signed addresses; tokenizers are none.
_QUERY = re.compile(
    r"([?&;](?:[\w.-]*(?:password|passwd|passphrase|pwd|token(?!iz)|secret|api[_-]?key|access[_-]?key|credential"
    r"|signature|bearer)[\w.-]*|pass|pw|sig|jwt|auth|authorization)=)[^&\s\"'<>]+",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(\b(?:authorization: *\w+|bearer) +)(?=\S*\d)[\w.~+/=-]{12,}", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|PASSCODE|SECRET|TOKEN(?!IZ)|BEARER|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL"
    r"|(?:^|_|SSH)PASS(?:_|$)|_PWD(?:_|$)|(?:^|_)(?:O?AUTH\d?|AUTHORIZATION)(?:_|$)",
    re.IGNORECASE,
)
# What such a variable says beside the secret itself; the password of an address is taken out of the address.
_ABOUT = re.compile(
    r"_(?:FILE|PATH|DIR|SOCK|TYPE|METHODS?|MODE|SCHEME|PROVIDER|PLUGIN|ENABLED|REQUIRED|USER|USERNAME|HOST|PORT|URL|URI"
    r"|ENDPOINT|NAME|EXPIRY|TTL)$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"(?i:true|false|none|null|yes|no|on|off|[-+.\d]*)$")
# A plain word stands in many texts by itself.
_WORD = re.compile(r"(?:[a-z]+|[A-Z]?[a-z]+|[A-Z]+)$")
_SHORTEST, _SHORTEST_WORD, _SHORTEST_NAME = 6, 8, 12


def redact(text: str) -> str:
    """Return a text without passwords.

    Names and passwords in addresses go, and the values of secret variables.

    A variable of the environment is secret if its name says so: password, passphrase, ``_PASS``, ``_PWD``, secret,
    token, bearer, key, credential, auth. So are passwords in the addresses that variables hold, as a proxy's. A value
    is looked for as a word of its own. Numbers, truth values, files that exist, values of fewer than six characters and
    plain words of fewer than eight letters are not looked for, because they stand in every text.

    >>> redact("https://ann:pa55word@host/x?token=abc")
    'https://***@host/x?token=***'
    """
    return _without(text, _secrets())


def redact_leaves(value: Any) -> Any:
    """Return a tree of mappings and lists with its texts redacted.

    Keys and numbers are as they were.

    >>> redact_leaves({"proxy": ["http://ann:pa55word@host", 1]})
    {'proxy': ['http://***@host', 1]}
    """
    return _leaves_without(value, _secrets())


def has_secret_query(address: str) -> bool:
    """Return True if an address has a password among its parameters.

    >>> has_secret_query("http://host/?api_key=abc"), has_secret_query("http://host/?page=2")
    (True, False)
    """
    return _QUERY.search(address) is not None


def _leaves_without(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        return _without(value, secrets)
    if isinstance(value, dict):
        return {name: _leaves_without(item, secrets) for name, item in value.items()}
    return [_leaves_without(item, secrets) for item in value] if isinstance(value, list | tuple) else value


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        if secret in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", HIDDEN, text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text) if "=" in text else text
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    return _USERINFO.sub(f"{HIDDEN}@", text) if "://" in text else text


def _secrets() -> list[str]:
    """Return the secrets to look for, the longest first.

    One may begin as another does.
    """
    values = {value for name, text in os.environ.items() for value in _of_variable(name, text) if _is_findable(value)}
    # As they look inside quotes of JSON and YAML, and inside an address.
    escaped = {value.replace("\\", "\\\\").replace('"', '\\"') for value in values}
    return sorted(values | escaped | {quote(value, safe="") for value in values}, key=len, reverse=True)


def _of_variable(name: str, text: str) -> Iterator[str]:
    """Yield the secrets that a variable holds."""
    if _SECRET_NAME.search(name) and not _ABOUT.search(name):
        # Also without what stands before it in a header.
        yield from {text, text.partition(" ")[2]} if text.lower().startswith(("bearer ", "basic ")) else {text}
    addresses = text if "://" in text or not name.lower().endswith("proxy") else f"http://{text}"
    if "://" not in addresses:
        return
    for login in _USERINFO.findall(addresses):
        user, colon, password = login[:-1].partition(":")
        # A name alone may be a token.
        secret = password if colon else user if len(user) >= _SHORTEST_NAME and re.search(r"\d", user) else ""
        yield from {secret, unquote(secret)}
    for parameter in _QUERY.finditer(addresses):
        value = parameter[0].removeprefix(parameter[1])
        yield from {value, unquote(value)}


def _is_findable(value: str) -> bool:
    """Return True if a secret can be told from other text."""
    if len(value) < _SHORTEST or _NO_SECRET.match(value) or (_WORD.match(value) and len(value) < _SHORTEST_WORD):
        return False
    return not (value.startswith(("/", "~/")) and _exists(value))


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
