# SPDX-License-Identifier: GPL-3.0-or-later
"""The public key that belongs to a WireGuard private key (X25519, RFC 7748 section 5).

Python's integers take a time that depends on the key. That is harmless here: the result is only
compared with the peers' keys of the same file, by whoever already holds the file. Never use it
to talk to anybody. About 1 ms.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import lru_cache

_P = 2**255 - 19


@lru_cache(maxsize=8)  # the files of one provider have one key, thousands of them
def public_key(private_key: str) -> str:
    """Base64 of the public key for a valid base64 private key."""
    scalar = int.from_bytes(b64decode(private_key), "little")
    scalar = scalar & ~7 & ~(1 << 255) | 1 << 254
    x2, z2, x3, z3 = 1, 0, 9, 1
    swapped = 0
    for bit in range(254, -1, -1):
        wanted = scalar >> bit & 1
        if wanted != swapped:
            x2, z2, x3, z3 = x3, z3, x2, z2
            swapped = wanted
        a, b = x2 + z2, x2 - z2
        aa, bb = a * a % _P, b * b % _P
        e = aa - bb
        da, cb = (x3 - z3) * a % _P, (x3 + z3) * b % _P
        x3 = (da + cb) ** 2 % _P
        z3 = 9 * (da - cb) ** 2 % _P
        x2 = aa * bb % _P
        z2 = e * (aa + 121665 * e) % _P
    if swapped:
        x2, z2 = x3, z3
    return b64encode((x2 * pow(z2, _P - 2, _P) % _P).to_bytes(32, "little")).decode()
