# SPDX-License-Identifier: GPL-3.0-or-later
"""How a jail is, read from the kernel at the moment of asking."""

from __future__ import annotations

import socket
from typing import Any

from netjail import names
from netjail.engine import (
    borrowed,
    dhcpserver,
    hostdns,
    ns,
    status_lan,
    toldfile,
    view,
    wg,
)
from netjail.engine.netlink import NetlinkError, Socket
from netjail.engine.process import Process
from netjail.engine.record import UP, Record, Records
from netjail.errors import NetjailError
from netjail.profile.model import (
    Bridge,
    Device,
    Ipvlan,
    Macvlan,
    OpenConnect,
    OpenVpn,
    Port,
    Profile,
    Veth,
    WireGuard,
)
from netjail.uplinks.wanted import (
    DnsRelay,
    Files,
    Masquerade,
    VethPair,
    VpnClient,
    WireGuardDevice,
)
from netjail.uplinks.wanted_links import CrossLink, SwitchPort
from netjail.uplinks.wanted_ports import BorrowedPort, PortSet

NUD = {
    0x01: "INCOMPLETE", 0x02: "REACHABLE", 0x04: "STALE", 0x08: "DELAY", 0x10: "PROBE",
    0x20: "FAILED", 0x40: "NOARP", 0x80: "PERMANENT",
}  # fmt: skip
_RT_TABLE_LOCAL = 255
_IFF_LOWER_UP = 0x10000
_TYPES = {6: "blackhole ", 7: "unreachable ", 8: "prohibit "}


def read(record: Record | None, profile: Profile | None, jails: Records) -> dict[str, Any]:
    """The live part of STATUS. What cannot be read is empty, never invented. `jails`: all."""
    up = record is not None and record.state == UP
    result: dict[str, Any] = {
        "netns": record.find(Files).netns if record is not None and up else None,
        "uplink": _configured(profile),
        "received": None,
        "sent": None,
        "mtu": None,
        "addresses": [],
        "routes": [],
        "dns": {"mode": profile.dns.mode if profile else None, "servers": [], "search": []},
        "neighbours": [],
        "links": [],
        "processes": [],
        "leases": [],
        "given": [],
        "ports": [],
        "lent": None,
    }
    if record is None or not up:
        return result
    result["processes"] = [{"name": p.name, "pid": p.pid} for p in record.processes if p.alive()]
    wanted: PortSet | None = record.find(PortSet)
    result["ports"] = [Port(*p)._asdict() for p in wanted.ports] if wanted is not None else []
    if record.find(BorrowedPort) is not None:
        result["lent"] = borrowed.read(record.profile).as_dict()
    files = record.find(Files)
    servers, search = hostdns.parse(_text(f"{names.view_dir(record.profile)}/dns/resolv.conf"))
    result["dns"].update(servers=list(servers), search=list(search), origin=files.origin)
    try:
        with ns.inside_named(files.netns), Socket() as netlink:
            _network(netlink, record, result)
    except (NetjailError, NetlinkError):
        return result
    _uplink(record, result)
    status_lan.uplink(record, result["uplink"])
    result["leases"] = status_lan.leases(record)
    result["given"] = dhcpserver.given(record, jails)
    return result


def _configured(profile: Profile | None) -> dict[str, Any]:
    """What the profile says, as long as nothing runs."""
    found: dict[str, Any] = {
        "interface": None,
        "implementation": None,
        "through": None,
        "endpoint": None,
        "peers": [],
        "way_out": None,
        "gateways": [],
    }
    match profile.uplink if profile else None:
        case WireGuard() as tunnel:
            found["through"] = tunnel.through
            named = [peer.endpoint for peer in tunnel.peers if peer.endpoint is not None]
            found["endpoint"] = str(named[0]) if named else None
        case OpenVpn() as tunnel:
            found["through"] = tunnel.through
            found["endpoint"] = str(tunnel.remote[0])
        case OpenConnect() as tunnel:
            found["through"] = tunnel.through
            found["endpoint"] = tunnel.server
        case Veth() as pair:
            found["way_out"] = pair.interface
        case Device() as lan:
            found["way_out"] = lan.device
        case Macvlan() | Ipvlan() as lan:
            found["way_out"] = lan.parent
        case Bridge() as lan:
            found["way_out"] = lan.bridge
    return found


def _network(netlink: Socket, record: Record, result: dict[str, Any]) -> None:
    links = {int(link["index"]): link for link in netlink.links()}
    called = {index: str(link.get_attr("IFLA_IFNAME")) for index, link in links.items()}
    own = {
        record.find(VethPair) and names.VETH_IF,
        record.find(WireGuardDevice) and names.TUNNEL_IF,
        *status_lan.interfaces(record),
        record.find(VpnClient) and names.TUN_IF,
    }
    for index, link in links.items():
        if called[index] in own:
            counters = link.get_attr("IFLA_STATS64") or {}
            result["mtu"] = link.get_attr("IFLA_MTU")
            result["received"] = counters.get("rx_bytes")
            result["sent"] = counters.get("tx_bytes")
            result["uplink"]["interface"] = called[index]
    result["links"] = [
        {
            "interface": wanted.jail_if,
            "peer": wanted.peer if isinstance(wanted, CrossLink) else None,
            "switch": wanted.switch if isinstance(wanted, SwitchPort) else None,
            "mac": wanted.mac,
            "addresses": list(wanted.addresses),
            "up": any(name == wanted.jail_if and _carries(links[i]) for i, name in called.items()),
        }
        for wanted in record.resources
        if isinstance(wanted, CrossLink | SwitchPort)
    ]
    result["addresses"] = [
        {"interface": called.get(a["index"], "?"), "address": _address(a)}
        for a in netlink.addresses()
        if called.get(a["index"]) != "lo"
    ]
    found = [*netlink.routes(socket.AF_INET), *netlink.routes(socket.AF_INET6)]
    result["routes"] = [text for r in found if (text := _route(r, called)) is not None]
    result["neighbours"] = [
        {
            "address": n.get_attr("NDA_DST"),
            "lladdr": n.get_attr("NDA_LLADDR"),
            "interface": called.get(n["ifindex"], "?"),
            "state": NUD.get(n["state"], str(n["state"])),
        }
        for n in netlink.neighbours()
        if n["state"] != 0x40 and n.get_attr("NDA_DST") and called.get(n["ifindex"]) != "lo"
    ]


def _carries(link: Any) -> bool:
    return bool(link["flags"] & _IFF_LOWER_UP)


def _address(message: Any) -> str:
    address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return f"{address}/{message['prefixlen']}"


def _route(message: Any, called: dict[int, str]) -> str | None:
    """As ip-route(8) prints it, without what every route has; None for the kernel's own."""
    table = message.get_attr("RTA_TABLE") or message["table"]
    destination = message.get_attr("RTA_DST")
    if table == _RT_TABLE_LOCAL or str(destination).startswith(("fe80", "ff00")):
        return None
    full = 128 if message["family"] == socket.AF_INET6 else 32
    text = _TYPES.get(message["type"], "")
    if not message["dst_len"]:
        text += "default" if full == 32 else "default (IPv6)"
    elif message["dst_len"] == full:
        text += str(destination)
    else:
        text += f"{destination}/{message['dst_len']}"
    if gateway := message.get_attr("RTA_GATEWAY"):
        text += f" via {gateway}"
    if (oif := message.get_attr("RTA_OIF")) is not None:
        text += f" dev {called.get(oif, oif)}"
    return text


def _uplink(record: Record, result: dict[str, Any]) -> None:
    uplink = result["uplink"]
    pair, nat = record.find(VethPair), record.find(Masquerade)
    if pair is not None and nat is not None:
        uplink.update(
            implementation="kernel",
            way_out=nat.way_out,
            gateways=list(pair.gateways),
            host_interface=pair.host_if,
            relay=record.find(DnsRelay) is not None,
        )
    client = record.find(VpnClient)
    if client is not None:
        said = toldfile.read(record.profile)
        uplink.update(
            implementation=client.program,
            through=record.through,
            live_endpoint=said.server,
            left_out=list(said.left_out),
        )
    device = record.find(WireGuardDevice)
    if device is None:
        return
    userspace: Process | None = wg.userspace(record, device)
    uplink["implementation"] = "kernel" if userspace is None else userspace.name
    uplink["through"] = record.through
    try:
        peers = wg.show(device, userspace is not None)
    except NetjailError:
        return
    uplink["peers"] = [
        {
            "public_key": p.public_key,
            "endpoint": p.endpoint,
            "allowed_ips": list(p.allowed_ips),
            "latest_handshake": p.latest_handshake,
            "received": p.received,
            "sent": p.sent,
            "persistent_keepalive": p.persistent_keepalive,
        }
        for p in peers
    ]
    live = [p.endpoint for p in peers if p.endpoint]
    uplink["live_endpoint"] = live[0] if live else None
    result["received"] = sum(p.received for p in peers)
    result["sent"] = sum(p.sent for p in peers)


def _text(path: str) -> str:
    return view.read(path) or ""
