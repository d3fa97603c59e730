# SPDX-License-Identifier: GPL-3.0-or-later
"""What uplinks in a network of others want of the kernel (see `wanted`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdoptedNetns:
    """A network namespace that somebody else has made; only its name is known, and looked at."""

    name: str


@dataclass(frozen=True, slots=True)
class HostDevice:
    """An interface of the host, moved into `netns` under its own name, and given back.

    `index` is its number on the host, by which a half-done move is told from another interface of
    that name. `phy`: of a Wi-Fi interface, which only moves with its radio. What it is given back
    with: `up`, `addresses` (lasting ones, with prefix length), `routes` (network, gateway or "",
    metric, protocol).
    """

    profile: str
    netns: str
    device: str
    index: int
    phy: str | None
    mtu: int
    host_mtu: int
    up: bool
    addresses: tuple[str, ...] = ()
    routes: tuple[tuple[str, str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ChildLink:
    """A macvlan or ipvlan on an interface of the host, born in `netns`. `mac` None: the kernel's
    choice (ipvlan: the parent's). `mode` in the words of ip-link(8)."""

    netns: str
    kind: str
    parent: str
    jail_if: str
    mode: str
    mtu: int
    mac: str | None


@dataclass(frozen=True, slots=True)
class BridgePort:
    """A veth pair whose host end is a port of the host's bridge."""

    netns: str
    host_if: str
    jail_if: str
    bridge: str
    mtu: int
    mac: str


@dataclass(frozen=True, slots=True)
class Station:
    """How an interface behaves in a network of others: up, with fixed addresses and routers.

    `secret`: for IPv6 addresses that tell nothing of the hardware (RFC 7217); None: no IPv6 by
    router advertisements. `arp`: whether there is ARP at all (ipvlan l3 has none).
    """

    netns: str
    jail_if: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...]
    accept_ra: bool
    arp: bool = True


@dataclass(frozen=True, slots=True)
class DhcpClient:
    """A DHCP client for one interface of a jail.

    `uplink`: the lease's router becomes the default route (unless `gateways` has one), and with
    `dns` its resolvers those of the jail, before the profile's own `search` domains. Otherwise
    nothing but the address is taken, and that only if it comes with a private network that covers
    none of `avoid` (addresses and networks that have to go another way). `mtu`: of the interface;
    None where the lease's is not to be taken.
    """

    profile: str
    netns: str
    jail_if: str
    uplink: bool
    dns: bool = False
    search: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    mtu: int | None = None
    client_id: str | None = None
    avoid: tuple[str, ...] = ()


LanResource = AdoptedNetns | HostDevice | ChildLink | BridgePort | Station | DhcpClient
KINDS: tuple[type, ...] = (AdoptedNetns, HostDevice, ChildLink, BridgePort, Station, DhcpClient)
