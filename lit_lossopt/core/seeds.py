"""Independent random streams from one seed.

Batch order, dropout and weights never share draws.
"""

from __future__ import annotations

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a 32-bit seed that depends on all parts alone.

    Hashing matters, because torch's CPU generator keeps only the low 32 bits of a seed, so ``seed * 2**32 + step``
    would give all seeds the same dropout masks.
    """
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")
