"""The checksum of what is logged with a run."""

from __future__ import annotations

import hashlib


def checksum(*parts: bytes) -> str:
    """Return the SHA-256 of byte strings, one after the other.

    Each has its length with it.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
