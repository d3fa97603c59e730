# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wanted of the kernel, as frozen data that survives a trip through JSON.

An uplink answers with a tuple of these, in the order in which they have to come into being; the
engine knows how to make, find and remove each kind. Addresses are text as ip(8) prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from netjail.uplinks import wanted_dhcp, wanted_lan, wanted_links, wanted_ports
from netjail.uplinks.login import Ask, Login


@dataclass(frozen=True, slots=True)
class Netns:
    """A network namespace with loopback up, named for ip-netns(8)."""

    name: str


@dataclass(frozen=True, slots=True)
class Files:
    """What programs in the jail see in place of the host's files (DESIGN section 6).

    `hosts`: (name, address) lines that come after the host's own; None leaves /etc/hosts alone.
    `for_ip_netns`: whether /etc/netns/NETNS, where ip-netns(8) looks, is ours to write.
    """

    profile: str
    netns: str
    servers: tuple[str, ...]
    search: tuple[str, ...]
    origin: str
    hosts: tuple[tuple[str, str], ...] = ()
    for_ip_netns: bool = True


@dataclass(frozen=True, slots=True)
class VethPair:
    """A veth pair to the host. Addresses with prefix length; `gateways` are the host's."""

    netns: str
    host_if: str
    jail_if: str
    mtu: int
    host_addresses: tuple[str, ...]
    jail_addresses: tuple[str, ...]
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Masquerade:
    """NAT for one veth pair: our nft elements and the forwarding switches they need.

    `way_out`: the only host interface allowed (None: whatever the host routes by).
    `resolvers`: addresses that may be asked on port 53 even where `lan` or `host` is false.
    """

    host_if: str
    ipv6: bool
    way_out: str | None
    lan: bool
    host: bool
    resolvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PinnedRoutes:
    """A routing table of its own for what comes from `host_if`, leading to `way_out` alone."""

    host_if: str
    way_out: str
    ipv6: bool


@dataclass(frozen=True, slots=True)
class DnsRelay:
    """A dnsmasq at the host end that passes questions on to the host's own loopback resolver."""

    profile: str
    host_if: str
    listen: tuple[str, ...]
    upstreams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WireGuardDevice:
    """A WireGuard interface born in `birth` (a namespace's name; None: the host), moved to `netns`.

    `config` is the text for wg-setconf(8); it holds secrets and never enters a record. `protocol`:
    wireguard or amneziawg.
    """

    profile: str
    netns: str
    birth: str | None
    born_as: str
    jail_if: str
    mtu: int
    addresses: tuple[str, ...]
    routes: tuple[str, ...]
    probe: str | None
    config: str | None = field(default=None, repr=False, compare=False)
    protocol: str = "wireguard"


@dataclass(frozen=True, slots=True)
class VpnClient:
    """A program that speaks a VPN's protocol, in `birth` (None: the host), its tun in `netns`.

    What the server says of addresses, routes and resolvers is added when it says so; `routes`,
    `dns`, `search` are the profile's own. `config` and `login` are secrets and never in a record.
    """

    program: str
    profile: str
    netns: str
    birth: str | None
    born_as: str
    jail_if: str
    mtu: int | None
    routes: tuple[str, ...]
    dns: tuple[str, ...]
    search: tuple[str, ...]
    take_dns: bool
    take_routes: bool = True
    config: str | None = field(default=None, repr=False, compare=False)
    login: Login = field(default=Login(), repr=False, compare=False)
    asks: tuple[Ask, ...] = field(default=(), compare=False)


Resource = (
    Netns
    | Files
    | VethPair
    | Masquerade
    | PinnedRoutes
    | DnsRelay
    | WireGuardDevice
    | VpnClient
    | wanted_links.LinkResource
    | wanted_lan.LanResource
    | wanted_dhcp.DhcpResource
    | wanted_ports.PortResource
)

_KINDS: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        Netns,
        Files,
        VethPair,
        Masquerade,
        PinnedRoutes,
        DnsRelay,
        WireGuardDevice,
        VpnClient,
        *wanted_links.KINDS,
        *wanted_lan.KINDS,
        *wanted_dhcp.KINDS,
        *wanted_ports.KINDS,
    )
}
_SECRET = frozenset({"config", "login", "asks"})
_RECORDED = {
    cls: tuple(f.name for f in fields(cls) if f.name not in _SECRET) for cls in _KINDS.values()
}


def to_json(resource: Resource) -> dict[str, Any]:
    """The recordable form, without secrets."""
    kind = type(resource)
    data = {name: getattr(resource, name) for name in _RECORDED[kind]}
    return {"resource": kind.__name__, **data}


def from_json(data: dict[str, Any]) -> Resource:
    """Inverse of `to_json`. Raises ValueError for what no version of ours has written."""
    values = dict(data)
    cls = _KINDS.get(values.pop("resource", ""))
    if cls is None:
        raise ValueError(f"unknown resource in record: {data!r}")
    known = {f.name for f in fields(cls)}
    values = {k: _tuples(v) for k, v in values.items() if k in known}
    try:
        made: Resource = cls(**values)
    except TypeError as error:
        raise ValueError(f"unreadable resource in record: {error}") from error
    return made


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
