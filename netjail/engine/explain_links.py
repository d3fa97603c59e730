# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of links and switches; as `explain`, of which it is a part."""

from __future__ import annotations

from netjail import names
from netjail.engine import shaping
from netjail.uplinks.wanted_dhcp import DhcpPort, DhcpResource, DhcpServer
from netjail.uplinks.wanted_links import (
    CrossLink,
    LinkResource,
    OvsBridge,
    SwitchBridge,
    SwitchHostPort,
    SwitchPort,
    SwitchUplink,
)


def making(resource: LinkResource | DhcpResource) -> tuple[str, list[str]]:
    """(sentence, commands)."""
    match resource:
        case CrossLink():
            return _cable(resource)
        case SwitchPort():
            return _port(resource)
        case SwitchBridge():
            inside = f"ip -n {resource.netns}"
            vlans = " vlan_filtering 1 vlan_default_pvid 0" if resource.vlans else ""
            return f"make the bridge of switch {resource.switch}", [
                f"{inside} link add {resource.bridge} type bridge mcast_snooping 0{vlans}",
                f"{inside} link set {resource.bridge} up",
            ]
        case OvsBridge():
            kind = f" -- set bridge {resource.bridge} datapath_type={resource.datapath}"
            return f"make the Open vSwitch of switch {resource.switch}", [
                f"{_vsctl(resource.netns)} add-br {resource.bridge}{kind}"
            ]
        case SwitchHostPort():
            return _host_port(resource)
        case SwitchUplink():
            where = "ip" if resource.netns is None else f"ip -n {resource.netns}"
            return f"plug {resource.interface} into switch {resource.switch}", [
                f"{where} link set {resource.interface} master {resource.switch} up"
            ]
        case DhcpPort():
            return f"plug a DHCP server into switch {resource.switch}", [
                *(f"ip -n {resource.netns} addr add {a} dev {resource.interface}"
                  for a in resource.addresses),
            ]  # fmt: skip
        case DhcpServer():
            ranges = " ".join(f"--dhcp-range={a},{b}" for a, b, _ in resource.ranges)
            return f"hand out addresses on switch {resource.switch}", [
                f"ip netns exec {resource.netns} dnsmasq --port=0 --no-resolv --no-hosts "
                f"--interface={resource.interface} {ranges}"
            ]


def _vsctl(netns: str | None) -> str:
    return "ovs-vsctl" if netns is None else f"ip netns exec {netns} ovs-vsctl"


def _inner(r: CrossLink | SwitchPort) -> list[str]:
    inside = f"ip -n {r.netns}"
    return [
        *(f"{inside} addr add {address} dev {r.jail_if}" for address in r.addresses),
        f"{inside} link set {r.jail_if} up",
        *(f"{inside} route add default via {gateway}" for gateway in r.gateways),
        *_shape(r),
    ]


def _shape(r: CrossLink | SwitchPort) -> list[str]:
    if not r.shape:
        return []
    words = " ".join(shaping.arguments(r.shape))
    lines = [f"tc -n {r.netns} qdisc add dev {r.jail_if} root {words}"]
    if isinstance(r, SwitchPort):
        where = f"-n {names.switch_netns(r.switch)}"
        lines.append(f"tc {where} qdisc add dev {r.port} root {words}")
    return lines


def _cable(r: CrossLink) -> tuple[str, list[str]]:
    other = f"netns {names.netns_name(r.peer)}"
    return f"lay a cable to {r.peer}, there while both are up", [
        f"ip -n {r.netns} link add {r.jail_if} address {r.mac} mtu {r.mtu} type veth peer {other}",
        *_inner(r),
    ]


def _port(r: SwitchPort) -> tuple[str, list[str]]:
    switch = f"ip -n {names.switch_netns(r.switch)}"
    plug = [f"{switch} link set {r.port} master {r.switch} up"]
    if r.isolated:
        plug.append(f"bridge link set dev {r.port} isolated on")
    if r.vlan is not None:
        plug.append(f"bridge vlan add vid {r.vlan} dev {r.port} pvid untagged")
    return f"plug it into switch {r.switch}", [
        f"{switch} link add {r.port} mtu {r.mtu} type veth peer {r.jail_if} address {r.mac} "
        f"netns {r.netns}",
        *plug,
        *_inner(r),
    ]


def _host_port(r: SwitchHostPort) -> tuple[str, list[str]]:
    switch = "ip" if r.netns is None else f"ip -n {r.netns}"
    return f"give the host a port on switch {r.switch}", [
        f"{switch} link add {r.port} mtu {r.mtu} type veth peer {r.host_if} netns 1",
        f"{switch} link set {r.port} master {r.switch} up",
        *(f"ip addr add {address} dev {r.host_if}" for address in r.addresses),
        f"ip link set {r.host_if} up",
    ]
