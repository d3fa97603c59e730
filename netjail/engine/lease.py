# SPDX-License-Identifier: GPL-3.0-or-later
"""What a DHCP server says, judged. Pure.

Whoever answers first on a network is its DHCP server, so every word of it may be meant to harm:
strings that end up in files, routes that lead around a tunnel, a resolver on loopback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_network
from typing import Any

from netjail.profile import checks

BEGIN, END = b"netjail-event=", b"netjail-end"
SERVERS_MAX = 3
"""resolv.conf(5): MAXNS."""
SEARCH_MAX, SEARCH_CHARACTERS = 6, 256
"""What resolvers of all ages take."""
SHORTEST_PREFIX = 8
FOREVER = 0xFFFFFFFF
_SECONDS_MIN = 60
_UDHCPC_BAD = "bad"
"""What udhcpc puts in the place of a name that it finds unfit for a shell."""


class RefusedError(ValueError):
    """A lease that cannot be taken; the text is a clause that says why."""


@dataclass(frozen=True, slots=True)
class Lease:
    """`address` with prefix length; `obtained` in seconds since the epoch, `seconds` it lasts from
    then (None: for ever); `left_out`: clauses on what the server also said and was not taken."""

    address: str
    obtained: float
    seconds: int | None
    router: str | None = None
    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    mtu: int | None = None
    server: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def network(self) -> IPv4Network:
        """The network it is an address of."""
        return IPv4Interface(self.address).network

    def left(self, now: float) -> int | None:
        """Seconds that it still lasts, at least 0; None: for ever."""
        return None if self.seconds is None else max(0, int(self.obtained + self.seconds - now))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def from_dict(data: Mapping[str, Any]) -> Lease:
    """Inverse of `as_dict`, after a trip through JSON. Raises TypeError, KeyError."""
    names = {f.name for f in fields(Lease)}
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in names
    }
    return Lease(**values)


@dataclass(frozen=True, slots=True)
class Event:
    """What the client has called its hook for, and the environment it gave it."""

    name: str
    values: dict[str, str]


def events(data: bytes) -> tuple[list[Event], int]:
    """The events in what the hook has written, and how many bytes they are. An unfinished one at
    the end is left for the next time; what is between events belongs to none."""
    found: list[Event] = []
    at = taken = 0
    name: str | None = None
    values: dict[str, str] = {}
    while (end := data.find(b"\0", at)) >= 0:
        entry, at = data[at:end], end + 1
        if entry.startswith(BEGIN):
            name, values = entry.removeprefix(BEGIN).decode("ascii", "replace"), {}
        elif entry == END:
            if name is not None:
                found.append(Event(name, values))
            name, taken = None, at
        elif name is not None:
            key, equals, value = entry.partition(b"=")
            if equals:
                values[key.decode("ascii", "replace")] = value.decode("ascii", "replace")
    return found, taken


def judge(
    values: Mapping[str, str], obtained: float, *, uplink: bool, avoid: Iterable[str] = ()
) -> Lease:
    """The lease in the variables of udhcpc's hook. Raises RefusedError.

    An interface that is not the `uplink` gets an address in a private network alone, which covers
    nothing in `avoid`: its connected route would draw in what belongs elsewhere.
    """
    left_out: list[str] = []
    address = _address(values.get("ip", ""))
    own = IPv4Interface((address, _prefix(values)))
    if own.network.prefixlen < 31 and address in (
        own.network.network_address,
        own.network.broadcast_address,
    ):
        raise RefusedError(f"{own} is no address of a host")
    if not uplink:
        _must_be_aside(own.network, avoid)
    if values.get("staticroutes") or values.get("msstaticroutes"):
        left_out.append("routes: a lease brings none but the one to the router")
    return Lease(
        address=str(own),
        obtained=obtained,
        seconds=_seconds(values.get("lease", "")),
        router=_router(values, own, left_out) if uplink else None,
        servers=_servers(values, left_out) if uplink else (),
        search=_search(values, left_out) if uplink else (),
        mtu=_mtu(values, left_out),
        server=_server(values.get("serverid", "")),
        left_out=tuple(left_out),
    )


def _host(text: str) -> IPv4Address | None:
    """An address that a machine on some network may have."""
    try:
        found = IPv4Address(text)
    except ValueError:
        return None
    bad = found.is_loopback or found.is_multicast or found.is_unspecified or found.is_reserved
    return None if bad or int(found) >> 24 == 0 else found


def _address(text: str) -> IPv4Address:
    found = _host(text)
    if found is None:
        raise RefusedError(f"{_shown(text)} is no address of a host")
    return found


def _prefix(values: Mapping[str, str]) -> int:
    text = values.get("subnet", "")
    try:
        bits = IPv4Network(f"0.0.0.0/{text}").prefixlen if text else 32
    except ValueError:
        raise RefusedError(f"{_shown(text)} is no netmask") from None
    if "." in text and text != str(IPv4Network((0, bits)).netmask):
        raise RefusedError(f"{_shown(text)} is no netmask")
    if bits < SHORTEST_PREFIX:
        raise RefusedError(f"a network of {bits} bits is too large to be one")
    return bits


def _must_be_aside(network: IPv4Network, avoid: Iterable[str]) -> None:
    if not network.is_private:
        raise RefusedError(
            f"{network} is not a private network, and this interface is not the way out"
        )
    for text in avoid:
        other = ip_network(text, strict=False)
        if isinstance(other, IPv4Network) and other.prefixlen and network.overlaps(other):
            raise RefusedError(f"{network} covers {text}, which is reached another way")


def _seconds(text: str) -> int | None:
    seconds = int(text) if text.isdecimal() and len(text) < 12 else 0
    return None if seconds >= FOREVER else max(seconds, _SECONDS_MIN)


def _words(values: Mapping[str, str], key: str) -> list[str]:
    return values.get(key, "").split()


def _router(values: Mapping[str, str], own: IPv4Interface, left_out: list[str]) -> str | None:
    for text in _words(values, "router"):
        found = _host(text)
        if found is not None and found != own.ip:
            return str(found)
        left_out.append(f"router {_shown(text)}")
    return None


def _servers(values: Mapping[str, str], left_out: list[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in _words(values, "dns"):
        address = _host(text)
        if address is None or address.is_link_local or len(found) >= SERVERS_MAX:
            _note(left_out, f"DNS server {_shown(text)}")
        else:
            found[str(address)] = None
    return tuple(found)


def _search(values: Mapping[str, str], left_out: list[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for text in (*_words(values, "search"), *_words(values, "domain")):
        try:
            name = checks.domain(text).lower()
        except checks.Bad:
            name = ""
        if name == _UDHCPC_BAD:
            name = ""
        length = sum(len(each) + 1 for each in found) + len(name)
        if name in found:
            continue
        if not name or len(found) >= SEARCH_MAX or length > SEARCH_CHARACTERS:
            _note(left_out, f"search domain {_shown(text)}")
        else:
            found[name] = None
    return tuple(found)


def _mtu(values: Mapping[str, str], left_out: list[str]) -> int | None:
    text = values.get("mtu", "")
    if not text:
        return None
    if text.isdecimal() and len(text) < 6 and checks.MTU_MIN <= int(text) <= checks.MTU_MAX:
        return int(text)
    left_out.append(f"MTU {_shown(text)}")
    return None


def _server(text: str) -> str | None:
    found = _host(text)
    return None if found is None else str(found)


def _note(left_out: list[str], text: str) -> None:
    if len(left_out) < 8:  # who says so much is not listened to
        left_out.append(text)


def _shown(text: str) -> str:
    return f'"{checks.printable(text, 40)}"'
