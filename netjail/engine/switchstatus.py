# SPDX-License-Identifier: GPL-3.0-or-later
"""How a switch is, read from the kernel or Open vSwitch at the moment of asking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netjail.engine import bridge, ns, ovs
from netjail.engine.netlink import NetlinkError, Socket
from netjail.engine.record import Record
from netjail.engine.status import NUD
from netjail.engine.switches import fabric_of
from netjail.errors import NetjailError
from netjail.uplinks.wanted_dhcp import DhcpPort
from netjail.uplinks.wanted_links import OvsBridge, SwitchHostPort, SwitchPort, SwitchUplink


def read(
    record: Record, users: Sequence[SwitchPort], leases: list[dict[str, Any]]
) -> dict[str, Any]:
    """The live part of a switch's STATUS. What cannot be read is empty, never invented."""
    fabric = fabric_of(record.resources)
    host: SwitchHostPort | None = record.find(SwitchHostPort)
    result: dict[str, Any] = {
        "engine": record.kind,
        "netns": None if fabric is None else fabric.netns,
        "datapath": fabric.datapath if isinstance(fabric, OvsBridge) else None,
        "host_interface": None if host is None else host.host_if,
        "host_addresses": [] if host is None else list(host.addresses),
        "ports": [_port(user) for user in users],
        "macs": [],
        "neighbours": [],
        "leases": leases,
        "processes": [{"name": p.name, "pid": p.pid} for p in record.processes if p.alive()],
    }
    if host is not None:
        result["ports"].insert(0, _host(host))
    server: DhcpPort | None = record.find(DhcpPort)
    if server is not None:
        result["ports"].insert(0, _server(server))
    uplink: SwitchUplink | None = record.find(SwitchUplink)
    if uplink is not None:
        result["ports"].append(_uplink(uplink))
    called_by = {port["mac"]: port["profile"] for port in result["ports"] if port["mac"]}
    for lease in leases:  # clients of ours tell nobody a name
        lease["name"] = lease["name"] or called_by.get(lease["mac"])
    try:
        with ns.inside_named(None if fabric is None else fabric.netns), Socket() as netlink:
            called = {int(each["index"]): each.get_attr("IFLA_IFNAME") for each in netlink.links()}
            known = {port["port"] for port in result["ports"]}
            if isinstance(fabric, OvsBridge):
                result["macs"] = ovs.table(fabric)
            else:
                ours = {index: name for index, name in called.items() if name in known}
                result["macs"] = bridge.table(netlink, ours)
        if host is not None:
            _look_from_host(host, result)
    except (NetjailError, NetlinkError, ValueError):
        pass
    return result


def _port(user: SwitchPort) -> dict[str, Any]:
    return {
        "port": user.port,
        "kind": "profile",
        "profile": user.profile,
        "interface": user.jail_if,
        "mac": user.mac,
        "vlan": user.vlan,
        "isolated": user.isolated,
        "addresses": list(user.addresses),
    }


def _host(host: SwitchHostPort) -> dict[str, Any]:
    return {
        "port": host.port,
        "kind": "host",
        "profile": None,
        "interface": host.host_if,
        "mac": None,
        "vlan": host.vlan,
        "isolated": False,
        "addresses": list(host.addresses),
    }


def _server(server: DhcpPort) -> dict[str, Any]:
    return {
        "port": server.port,
        "kind": "DHCP server",
        "profile": None,
        "interface": server.interface,
        "mac": server.mac,
        "vlan": server.vlan,
        "isolated": False,
        "addresses": list(server.addresses),
    }


def _uplink(uplink: SwitchUplink) -> dict[str, Any]:
    return {
        "port": uplink.interface,
        "kind": "uplink",
        "profile": None,
        "interface": uplink.interface,
        "mac": None,
        "vlan": None,
        "isolated": False,
        "addresses": [],
    }


def _look_from_host(host: SwitchHostPort, result: dict[str, Any]) -> None:
    with Socket() as netlink:
        link = netlink.link(host.host_if)
        if link is None:
            return
        ours = next(port for port in result["ports"] if port["kind"] == "host")
        ours["mac"] = link.get_attr("IFLA_ADDRESS")
        result["neighbours"] = [
            {
                "address": n.get_attr("NDA_DST"),
                "lladdr": n.get_attr("NDA_LLADDR"),
                "state": NUD.get(n["state"], str(n["state"])),
            }
            for n in netlink.neighbours()
            if n["ifindex"] == link["index"] and n["state"] != 0x40 and n.get_attr("NDA_DST")
        ]
