# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of uplinks in a network of others, in words and as commands (see `explain`)."""

from __future__ import annotations

from netjail.uplinks.wanted_lan import (
    AdoptedNetns,
    BridgePort,
    ChildLink,
    DhcpClient,
    HostDevice,
    LanResource,
    Station,
)

UNDO: dict[type, str] = {
    AdoptedNetns: "let go of the network namespace, which stays as it is",
    HostDevice: "give the interface back to the host",
    ChildLink: "remove the interface",
    BridgePort: "remove the port of the bridge",
    Station: "remove its addresses",
    DhcpClient: "give the lease back and end the DHCP client",
}


def removal(resource: LanResource) -> str | None:
    """The command that undoes it, if there is one."""
    match resource:
        case HostDevice():
            return f"ip -n {resource.netns} link set {resource.device} netns 1"
        case ChildLink():
            return f"ip -n {resource.netns} link del {resource.jail_if}"
        case BridgePort():
            return f"ip link del {resource.host_if}"
    return None


def making(resource: LanResource) -> tuple[str, list[str]]:
    """Sentence and commands."""
    match resource:
        case AdoptedNetns():
            return f"use the network namespace {resource.name} as it is", []
        case HostDevice():
            return _device(resource)
        case ChildLink():
            return (
                f"make a {resource.kind} on {resource.parent}",
                [
                    f"ip link add link {resource.parent} name {resource.jail_if} "
                    f"netns {resource.netns} mtu {resource.mtu}"
                    + (f" address {resource.mac}" if resource.mac else "")
                    + f" type {resource.kind} mode {resource.mode}"
                ],
            )
        case BridgePort():
            return (
                f"make it a port of the bridge {resource.bridge}",
                [
                    f"ip link add {resource.host_if} mtu {resource.mtu} type veth peer "
                    f"{resource.jail_if} netns {resource.netns} address {resource.mac}",
                    f"ip link set {resource.host_if} master {resource.bridge} up",
                ],
            )
        case Station():
            return _station(resource)
        case DhcpClient():
            inside = f"ip netns exec {resource.netns}"
            return (
                f"get an address for {resource.jail_if} by DHCP",
                [f"{inside} udhcpc -f -i {resource.jail_if}"],
            )


def _device(r: HostDevice) -> tuple[str, list[str]]:
    if r.phy is not None:
        what = f"move {r.device} in, with its radio {r.phy}"
        return what, [f"iw phy {r.phy} set netns name {r.netns}"]
    return f"move {r.device} in", [f"ip link set {r.device} netns {r.netns}"]


def _station(r: Station) -> tuple[str, list[str]]:
    inside = f"ip -n {r.netns}"
    sysctl = f"ip netns exec {r.netns} sysctl net"
    switches = [f"{sysctl}.ipv4.conf.{r.jail_if}.arp_ignore=2"]
    if r.accept_ra:
        switches += [
            f"{sysctl}.ipv6.conf.{r.jail_if}.{key}"
            for key in ("addr_gen_mode=3", "use_tempaddr=2", "autoconf=1", "accept_ra=1")
        ]
    what = "switch it on"
    if r.addresses:
        what = f"give it {', '.join(r.addresses)}"
    if r.accept_ra:
        what += " and let routers give it IPv6 addresses"
    return what, [
        *switches,
        f"{inside} link set {r.jail_if} up",
        *(f"{inside} addr add {address} dev {r.jail_if}" for address in r.addresses),
        *(
            f"{inside} route add default via {gateway} dev {r.jail_if} onlink"
            for gateway in r.gateways
        ),
    ]
