# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard's messages as they are on the wire: as they are, or as AmneziaWG disguises them.

The type of a message is replaced before its mac1 is made, which covers it; random bytes come in
front of the whole; junk and packets of the provider's making go ahead of an initiation (so
device/send.go of amneziawg-go).
"""

from __future__ import annotations

import secrets
import struct

from netjail.profile import amnezia
from netjail.profile.model import AmneziaWG, WireGuard

_INITIATION, _RESPONSE = 1, 2


def initiation_type(tunnel: WireGuard) -> int:
    """What an initiation begins with."""
    if not isinstance(tunnel, AmneziaWG) or tunnel.h1 is None:
        return _INITIATION
    first, last = tunnel.h1
    return first + secrets.randbelow(last - first + 1)


def wrap(tunnel: WireGuard, message: bytes) -> list[bytes]:
    """The packets to send in order to send an initiation."""
    if not isinstance(tunnel, AmneziaWG):
        return [message]
    specs = [spec for leaf in amnezia.PACKETS if (spec := getattr(tunnel, leaf))]
    count = secrets.randbits(31)
    before = [amnezia.build(spec, count + n) for n, spec in enumerate(specs)]
    least, most = tunnel.jmin or 0, tunnel.jmax or 0
    for _ in range(tunnel.jc or 0):
        before.append(secrets.token_bytes(least + secrets.randbelow(most - least + 1)))
    return [*before, secrets.token_bytes(tunnel.s1 or 0) + message]


def unwrap(tunnel: WireGuard, data: bytes) -> bytes | None:
    """A response out of a packet; None for what is none."""
    first = last = _RESPONSE
    if isinstance(tunnel, AmneziaWG):
        data = data[tunnel.s2 or 0 :]
        first, last = tunnel.h2 or (_RESPONSE, _RESPONSE)
    if len(data) != amnezia.MESSAGES[1]:
        return None
    return data if first <= struct.unpack_from("<I", data)[0] <= last else None
