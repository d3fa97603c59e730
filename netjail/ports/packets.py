# SPDX-License-Identifier: GPL-3.0-or-later
"""The packets of NAT-PMP (RFC 6886) and PCP (RFC 6887, opcode MAP): written, read, judged. Pure.

Whoever runs the server may be hostile. What is not exactly an answer to what was asked is none.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

PORT = 5351
"""Where a server listens, for either protocol (RFC 6886, 3; RFC 6887, 19.2)."""
NATPMP, PCP = 0, 2
"""The first byte of a packet."""
PROTOCOLS = {"udp": 17, "tcp": 6}
"""By the numbers that IP has for them."""
PACKET_MAX = 1100
"""Bytes of the longest packet of PCP (RFC 6887, 7)."""
NONCE_BYTES = 12

_RESPONSE = 0x80
_MAP = 1
_OPCODES = {"udp": 1, "tcp": 2}
_HEAD = struct.Struct("!BBHI")
_MAPPED = struct.Struct("!HHI")
_PCP_ASK = struct.Struct("!BBHI16s")
_PCP_HEAD = struct.Struct("!BBBBII12x")
_PCP_MAP = struct.Struct("!12sB3xHH16s")
_ANY4 = b"\0" * 10 + b"\xff\xff" + b"\0" * 4
_ANY6 = b"\0" * 16

NATPMP_RESULTS = {
    1: "does not speak this version",
    2: "refuses: not authorised, or switched off",
    3: "has no address of its own just now",
    4: "has no port left to lend",
    5: "does not know this request",
}
"""RFC 6886, 3.5."""
PCP_RESULTS = {
    1: "does not speak this version",
    2: "refuses: not authorised",
    3: "found the request malformed",
    4: "does not know this request",
    5: "does not know an option of the request",
    6: "found an option malformed",
    7: "has no address of its own just now",
    8: "has no port left to lend",
    9: "does not lend ports of this protocol",
    10: "has lent as many ports as it gives one user",
    11: "cannot lend the port that was asked for",
    12: "sees another address of ours than we do",
    13: "has too many such ports",
}
"""RFC 6887, 7.4."""


class Answer(NamedTuple):
    """What a server says. `result` 0: it did it. `epoch`: seconds since it has lost its memory.
    Ports and `lifetime` (seconds) are 0 where it did not."""

    version: int
    result: int
    epoch: int
    internal: int = 0
    external: int = 0
    lifetime: int = 0
    address: str | None = None


# NAT-PMP ---------------------------------------------------------------------------------------


def ask_address() -> bytes:
    """Which address the server has outside."""
    return struct.pack("!BB", NATPMP, 0)


def ask_port(protocol: str, internal: int, external: int, lifetime: int) -> bytes:
    """Lend a port, preferably this; `lifetime` 0: take it back."""
    return struct.pack("!BBHHHI", NATPMP, _OPCODES[protocol], 0, internal, external, lifetime)


def read_address(data: bytes) -> Answer | None:
    """The answer to `ask_address`; None: it is none."""
    head = _natpmp_head(data, 0)
    if head is None or head.result:
        return head
    if len(data) != 12:
        return None
    address = IPv4Address(data[8:12])
    return None if address.is_unspecified else head._replace(address=str(address))


def read_port(data: bytes, protocol: str, internal: int) -> Answer | None:
    """The answer to `ask_port`; None: it is none. An internal port of 0, which means "the one
    that you lend" to some servers, may be answered by that one."""
    head = _natpmp_head(data, _OPCODES[protocol])
    if head is None or head.result:
        return head
    if len(data) != 16:
        return None
    inner, outer, lifetime = _MAPPED.unpack_from(data, 8)
    if inner != internal and (internal or inner != outer):
        return None
    return head._replace(internal=inner, external=outer, lifetime=lifetime)


def _natpmp_head(data: bytes, opcode: int) -> Answer | None:
    if not 8 <= len(data) <= PACKET_MAX:
        return None
    version, op, result, epoch = _HEAD.unpack_from(data)
    if version == PCP:
        # a server of PCP alone says so in its own words (RFC 6887, appendix A)
        return Answer(PCP, 1, 0) if op & _RESPONSE and data[3] == 1 else None
    if version != NATPMP or op != _RESPONSE | opcode:
        return None
    return Answer(NATPMP, result, epoch)


# PCP -------------------------------------------------------------------------------------------


def _packed(address: str) -> bytes:
    if ":" in address:
        return IPv6Address(address).packed
    return b"\0" * 10 + b"\xff\xff" + IPv4Address(address).packed


def ask_map(  # noqa: PLR0917 - the fields, in their order
    protocol: str, internal: int, external: int, lifetime: int, client: str, nonce: bytes
) -> bytes:
    """As `ask_port`. `client`: the address that this is sent from; `nonce`: the same as long as
    the port is lent, and known to nobody else."""
    if not 0 < internal < 1 << 16:
        raise ValueError("port 0 means all ports here")
    head = _PCP_ASK.pack(PCP, _MAP, 0, lifetime, _packed(client))
    suggested = _ANY6 if ":" in client else _ANY4
    body = _PCP_MAP.pack(nonce, PROTOCOLS[protocol], internal, external, suggested)
    return head + body


def read_map(data: bytes, protocol: str, internal: int, nonce: bytes) -> Answer | None:
    """The answer to `ask_map`; None: it is none."""
    if len(data) >= 8 and data[0] == NATPMP and data[1] & _RESPONSE:
        # a server of NAT-PMP alone (RFC 6886, 3.5)
        version, _, result, epoch = _HEAD.unpack_from(data)
        return Answer(version, 1, epoch) if result == 1 else None
    if not 24 <= len(data) <= PACKET_MAX or len(data) % 4:
        return None
    version, op, _, result, lifetime, epoch = _PCP_HEAD.unpack_from(data)
    if version != PCP:
        return Answer(version, 1, 0) if op & _RESPONSE and result == 1 else None
    if op != _RESPONSE | _MAP:
        return None
    if result == 1:
        return Answer(PCP, result, epoch)
    if len(data) < 60:
        return None
    said, number, inner, outer, address = _PCP_MAP.unpack_from(data, 24)
    if said != nonce or number != PROTOCOLS[protocol] or inner != internal:
        return None
    if result:
        return Answer(PCP, result, epoch, lifetime=lifetime)
    where = IPv6Address(address)
    plain = where.ipv4_mapped or where
    if plain.is_unspecified and lifetime:
        return None
    return Answer(PCP, 0, epoch, inner, outer, lifetime, str(plain))


# Time ------------------------------------------------------------------------------------------


class Epochs:
    """Whether a server still remembers what it has lent (RFC 6886, 3.6; RFC 6887, 8.5)."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    def forgets(self, epoch: int, now: float) -> bool:
        """Told of each answer. `now`: seconds of a clock that goes on while the machine sleeps."""
        before, self._last = self._last, (now, epoch)
        if before is None:
            return False
        ours, theirs = now - before[0], epoch - before[1]
        if theirs < -1:
            return True
        return ours + 2 < theirs - theirs / 16 or theirs + 2 < ours - ours / 16
