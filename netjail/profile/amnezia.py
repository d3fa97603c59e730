# SPDX-License-Identifier: GPL-3.0-or-later
"""What AmneziaWG has besides WireGuard: how it disguises its packets.

The keys are those of awg(8): `Jc` packets of junk of `Jmin` to `Jmax` bytes before each handshake,
`S1` to `S4` random bytes before each sort of message, `H1` to `H4` in place of its type, `I1` to
`I5` whole packets that look like another protocol's. S and H are the server's and must be alike on
both sides. Limits and grammar are those of amneziawg-go 0.2.19 and of the kernel module
1.0.20260611, the narrower of the two.
"""

from __future__ import annotations

import re
import secrets
import string
import struct
import time
from collections.abc import Callable, Collection, Mapping
from itertools import combinations
from typing import Any

from netjail.profile import checks
from netjail.profile.key import Key, Type

KIND = "amneziawg"
_KINDS = (KIND,)

JUNK = ("jc", "jmin", "jmax")
PADDINGS = ("s1", "s2", "s3", "s4")
HEADERS = ("h1", "h2", "h3", "h4")
PACKETS = ("i1", "i2", "i3", "i4", "i5")
LEAVES = (*JUNK, *PADDINGS, *HEADERS, *PACKETS)

Header = tuple[int, int]
"""The first and the last of a range, both in it."""

JC_MAX = 128
_SIZE_MAX = 1280
"""Bytes of a packet that fits everywhere (amneziawg's documentation takes the same)."""
MESSAGES = (148, 92, 64, 32)
"""Bytes of WireGuard's messages, in the order of the S and H keys: initiation, response, cookie
reply, data without any."""
_PADDING_MAX = tuple(_SIZE_MAX - size for size in MESSAGES)
_SPEC_MAX = 4096
"""Characters of one I value: a packet of 1280 bytes takes 2560 in `<b 0x...>`."""
PLAIN_HEADERS: tuple[Header, ...] = ((1, 1), (2, 2), (3, 3), (4, 4))
"""WireGuard's own types, which stand where a profile has none."""


def _number(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise checks.Bad("is not a number")
        text = str(value).strip()
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise checks.Bad("is not a number")
        number = int(text)
        if not least <= number <= most:
            raise checks.Bad("is out of range")
        return number

    return read


def header(value: object) -> Header:
    """A number or two with a hyphen: both ends of a range."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise checks.Bad("is neither a number nor a range")
    found = re.fullmatch(r"([0-9]{1,10})(?:\s*-\s*([0-9]{1,10}))?", str(value).strip())
    if found is None:
        raise checks.Bad("is neither a number nor a range")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last > 0xFFFFFFFF:
        raise checks.Bad("is out of range")
    if first > last:
        raise checks.Bad("is a range that ends before it begins")
    return first, last


def shown(value: Header) -> str:
    """As it stands in a file."""
    return str(value[0]) if value[0] == value[1] else f"{value[0]}-{value[1]}"


# Packets -----------------------------------------------------------------------------------------

Tag = tuple[str, bytes | int]
"""The name of a tag, and its bytes or how many there are."""

_TAG = re.compile(r"<([^<>]*)>")
_LETTERS = string.ascii_letters.encode()
_DIGITS = string.digits.encode()


def tags(spec: str) -> list[Tag]:
    """The parts of a packet. Raises `checks.Bad`."""
    if len(spec) > _SPEC_MAX:
        raise checks.Bad("is too long")
    if not spec:
        raise checks.Bad("is empty")
    rest = _TAG.sub("", spec)
    if rest.strip():
        raise checks.Bad("has something that is no <tag>")
    return [_tag(inside) for inside in _TAG.findall(spec)]


def _tag(inside: str) -> Tag:
    name, _, value = inside.strip().partition(" ")
    value = value.strip()
    shown_tag = checks.show(f"<{inside}>")
    if name == "b":
        found = re.fullmatch(r"0x((?:[0-9A-Fa-f]{2})+)", value)
        if found is None:
            raise checks.Bad(f"has {shown_tag}, which wants an even number of hex digits after 0x")
        return name, bytes.fromhex(found[1])
    if name in ("t", "c"):
        if value:
            raise checks.Bad(f"has {shown_tag}, which takes no value")
        return name, 4
    if name in ("r", "rc", "rd"):
        if not re.fullmatch(r"[0-9]{1,4}", value) or not 1 <= int(value) <= _SIZE_MAX:
            raise checks.Bad(f"has {shown_tag}, which wants a number of bytes, 1 to {_SIZE_MAX}")
        return name, int(value)
    raise checks.Bad(f"has {shown_tag}, which is no tag that AmneziaWG knows")


def packet(value: object) -> str:
    """The description of a packet, in one spelling."""
    found = tags(checks.string(value).strip())
    size = sum(len(v) if isinstance(v, bytes) else v for _, v in found)
    if size > _SIZE_MAX:
        raise checks.Bad(f"makes a packet of {size} bytes")
    return "".join(
        f"<{name} 0x{v.hex()}>"
        if isinstance(v, bytes)
        else f"<{name}>"
        if name in ("t", "c")
        else f"<{name} {v}>"
        for name, v in found
    )


def build(spec: str, number: int) -> bytes:
    """One such packet. `number`: what <c> counts."""
    made = b""
    for name, value in tags(spec):
        if isinstance(value, bytes):
            made += value
        elif name == "t":
            made += struct.pack(">I", int(time.time()) & 0xFFFFFFFF)
        elif name == "c":
            made += struct.pack(">I", number & 0xFFFFFFFF)
        elif name == "r":
            made += secrets.token_bytes(value)
        else:
            alphabet = _LETTERS if name == "rc" else _DIGITS
            made += bytes(secrets.choice(alphabet) for _ in range(value))
    return made


# Keys --------------------------------------------------------------------------------------------

_JC = Type(f"1 to {JC_MAX}, or 0 for none", _number(0, JC_MAX))
_JUNK_SIZE = Type(f"0 to {_SIZE_MAX} bytes", _number(0, _SIZE_MAX))
_HEADER = Type('0 to 4294967295, or a range like "100-200"', header)
_PACKET = Type(
    "tags: <b 0xHEX>, <r N>, <rc N>, <rd N>, <t>, <c>; "
    f"at most {_SIZE_MAX} bytes, {_SPEC_MAX} characters",
    packet,
)
_SORTS = ("handshake initiation", "handshake response", "cookie reply", "packet of data")


def _keys() -> tuple[Key, ...]:
    made = [
        Key("uplink.jc", _JC, "Packets of junk before each handshake.", wg="Jc"),
        Key("uplink.jmin", _JUNK_SIZE, "Bytes of the smallest of them.", wg="Jmin"),
        Key("uplink.jmax", _JUNK_SIZE, "Bytes of the largest of them.", wg="Jmax"),
    ]
    for number, (sort, most) in enumerate(zip(_SORTS, _PADDING_MAX, strict=True), 1):
        kind = Type(f"0 to {most} bytes", _number(0, most))
        doc = f"Random bytes before each {sort}, as the server has it."
        made.append(Key(f"uplink.s{number}", kind, doc, wg=f"S{number}"))
    for number, sort in enumerate(_SORTS, 1):
        doc = f"What stands for the type of a {sort}, as the server has it."
        made.append(Key(f"uplink.h{number}", _HEADER, doc, wg=f"H{number}"))
    for number in range(1, 6):
        doc = "A packet sent before each handshake, which looks like another protocol's."
        made.append(Key(f"uplink.i{number}", _PACKET, doc, wg=f"I{number}"))
    defaults = dict.fromkeys((*JUNK, *PADDINGS), "`0`") | dict.fromkeys(PACKETS, "none")
    defaults |= {leaf: f"`{n}`, as WireGuard" for n, leaf in enumerate(HEADERS, 1)}
    return tuple(
        Key(k.name, k.type, k.doc, kinds=_KINDS, default=defaults[k.leaf], wg=k.wg) for k in made
    )


AMNEZIA_KEYS = _keys()


def problems(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the values must be to each other: (leaf, complaint). `values`: the final ones; a leaf
    without one is missing or None."""
    found = []
    low, high = values.get("jmin") or 0, values.get("jmax") or 0
    if low > high:
        found.append(("jmin", f"{low} is more than Jmax, {high}"))
    if values.get("jc") and not high:
        found.append(("jmax", "is missing, and junk packets need a size"))
    sizes = [(values.get(leaf) or 0) + size for leaf, size in zip(PADDINGS, MESSAGES, strict=True)]
    if (values.get("s1") or values.get("s2")) and sizes[0] == sizes[1]:
        found.append(
            ("s2", "makes a handshake's response as long as its initiation; S1 + 56 must not be S2")
        )
    headers = [
        values.get(leaf) or plain for leaf, plain in zip(HEADERS, PLAIN_HEADERS, strict=True)
    ]
    for (a, left), (b, right) in combinations(enumerate(headers), 2):
        if left[0] <= right[1] and right[0] <= left[1]:
            said = "is the same as" if left == right else "overlaps with"
            at, other = (b, a) if values.get(HEADERS[b]) is not None else (a, b)
            found.append((HEADERS[at], f"{said} {HEADERS[other].upper()}, {shown(headers[other])}"))
    return found


def plain(uplink: Any) -> dict[str, Any]:
    """The keys that an uplink has, as a profile's file holds them."""
    raw: dict[str, Any] = {}
    for leaf in LEAVES:
        value = getattr(uplink, leaf)
        if value is not None:
            raw[leaf] = written(leaf, value)
    return raw


def written(leaf: str, value: Any) -> Any:
    """One value for a profile's file."""
    if leaf not in HEADERS:
        return value
    return value[0] if value[0] == value[1] else shown(value)


ALWAYS = ("s1", "s2", *HEADERS)
"""What every version of awg(8) knows, of what both sides must have alike."""


def lines(uplink: Any, also: Collection[str] = ()) -> list[str]:
    """Lines of [Interface] for awg(8). `also`: S and H that are written even where they are as in
    WireGuard, for an interface that may have had something else before. Other zeros are left out:
    amneziawg-go takes none."""
    made = []
    for leaf in LEAVES:
        value = getattr(uplink, leaf)
        if leaf in HEADERS:
            if value is None and leaf in also:
                value = PLAIN_HEADERS[HEADERS.index(leaf)]
            value = None if value is None else shown(value)
        elif leaf in PADDINGS and leaf in also:
            value = str(value or 0)
        if value:
            made.append(f"{leaf.capitalize()} = {value}")
    return made
