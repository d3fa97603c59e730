# SPDX-License-Identifier: GPL-3.0-or-later
"""What a DHCP server on a switch wants; as `wanted`, of which it is a part."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DhcpPort:
    """The server's own port on a switch, where no profile serves. `netns`: the switch's."""

    switch: str
    netns: str
    interface: str
    port: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    vlan: int | None = None


@dataclass(frozen=True, slots=True)
class DhcpServer:
    """A dnsmasq on `interface` in `netns`, which has an address on each network already.

    `ranges`: first and last address, prefix length. `lease` in seconds. `router`: whether it
    announces itself as the way out for IPv6. `hosts`: (name or hardware address, address).
    """

    switch: str
    netns: str
    interface: str
    ranges: tuple[tuple[str, str, int], ...]
    lease: int
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    domain: str | None = None
    hosts: tuple[tuple[str, str], ...] = ()
    router: bool = False


DhcpResource = DhcpPort | DhcpServer
KINDS = (DhcpPort, DhcpServer)
