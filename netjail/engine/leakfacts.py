# SPDX-License-Identifier: GPL-3.0-or-later
"""What only root sees of a jail, for the leak check: read from the kernel at the moment of asking.

Of other users' processes nothing is opened that they could have put in the way: only what the
kernel itself writes under /proc, and their sockets by a program of our own (see `held`).
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from netjail import names
from netjail.engine import borrowed, explain_ports, held, ns, plan, process, wg
from netjail.engine.hostfacts import HostFacts, Subnets
from netjail.engine.netlink import NetlinkError, Socket
from netjail.engine.process import Process
from netjail.engine.programs import Program
from netjail.engine.record import UP, Record
from netjail.errors import NetjailError
from netjail.leaks.model import Facts, Held, Link, Route
from netjail.profile.model import AmneziaWG, Profile, Veth
from netjail.uplinks.wanted import Files, Masquerade, Resource, VethPair, VpnClient, WireGuardDevice
from netjail.uplinks.wanted_lan import AdoptedNetns
from netjail.uplinks.wanted_ports import BorrowedPort, PortSet

TUNNELS = frozenset({"wireguard", "amneziawg", "openvpn", "openconnect"})
HELD_SECONDS = 5.0
_LOCAL_TABLE = 255
_LEADS_NOWHERE = (6, 7, 8)  # blackhole, unreachable, prohibit
_LIKE_A_DEFAULT = 3
_KERNELS_RULES = {(0, 255), (32766, 254), (32767, 253)}
_OVERHEAD = {4: 60, 6: 80}
"""What WireGuard adds to a packet, with the outer header of IPv4 or IPv6."""
_STRANGERS_MAX = 8


def read(
    name: str,
    record: Record | None,
    profile: Profile | None,
    seen: tuple[Sequence[Resource], Sequence[Program], bool],
) -> Facts:
    """`seen`: which of the record's resources are missing, the programs inside, whether our nft
    table is whole. Raises NetjailError("not-up")."""
    missing, programs, whole = seen
    if record is None or record.state != UP:
        raise NetjailError("not-up", f"profile {name} is not up", f"netjail up {name}")
    files = record.find(Files)
    pair = record.find(VethPair)
    with ns.inside_named(files.netns), Socket() as netlink:
        links, routes, rules = _links(netlink), _routes(netlink), _rules(netlink)
    fence = record.find(Masquerade) is not None and (
        not whole or any(isinstance(each, Masquerade) for each in missing)
    )
    lost = [plan.Step("make", each).describe()[0] for each in missing]
    if record.find(Masquerade) is not None and not whole:
        lost.append(f"rules of the nftables table inet {names.NFT_TABLE}")
    adopted = record.find(AdoptedNetns) is not None
    if adopted:  # all that is there is somebody else's, and as they want it
        own = tuple(link.name for link in links)
        programs = ()
    else:
        own = tuple(str(r.jail_if) for r in record.resources if hasattr(r, "jail_if"))
    held_, partly = _held(record, programs)
    uplink = profile.uplink if profile is not None else None
    return Facts(
        profile=record.profile,
        kind=record.kind,
        netns=_id(record.namespace),
        own=own,
        configured=_configured(record),
        links=links,
        routes=routes,
        rules=rules,
        host_addresses=_host_addresses(),
        host_netns=_id(_identity("/proc/self/ns/net")),
        missing=tuple(lost),
        fence=fence,
        dns_mode=profile.dns.mode if profile is not None else "",
        servers=tuple(files.servers),
        host_allowed=not isinstance(uplink, Veth) or uplink.host,
        gateways=() if pair is None else tuple(pair.gateways),
        tunnel=record.kind in TUNNELS,
        held=held_,
        strangers=_strangers(record.profile, programs),
        ports=(*explain_ports.sentences(record.find(PortSet)), *_lent(record)),
        partly=("not all programs inside could be looked at",) if partly else (),
        **_tunnel(record, profile),
    )


def _lent(record: Record) -> tuple[str, ...]:
    if record.find(BorrowedPort) is None:
        return ()
    return explain_ports.lent(borrowed.read(record.profile).port)


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _id(identity: tuple[int, int] | None) -> str:
    return "" if identity is None else f"{identity[0]}:{identity[1]}"


def _configured(record: Record) -> tuple[str, ...]:
    found: list[str] = []
    for resource in record.resources:
        for name in ("addresses", "jail_addresses"):
            found += [str(each).partition("/")[0] for each in getattr(resource, name, ())]
    return tuple(found)


# Inside ---------------------------------------------------------------------------------------


def _links(netlink: Socket) -> tuple[Link, ...]:
    addresses: dict[int, list[str]] = {}
    for message in netlink.addresses():
        address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        addresses.setdefault(message["index"], []).append(f"{address}/{message['prefixlen']}")
    found = []
    for link in netlink.links():
        info = link.get_attr("IFLA_LINKINFO")
        kind = info.get_attr("IFLA_INFO_KIND") if info is not None else None
        known = tuple(addresses.get(link["index"], ()))
        name = str(link.get_attr("IFLA_IFNAME"))
        found.append(Link(name, str(kind or ""), bool(link["flags"] & 1), known))
    return tuple(found)


def _routes(netlink: Socket) -> tuple[Route, ...]:
    called = {int(link["index"]): str(link.get_attr("IFLA_IFNAME")) for link in netlink.links()}
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in netlink.routes(family):
            table = int(message.get_attr("RTA_TABLE") or message["table"])
            destination = str(message.get_attr("RTA_DST") or "")
            kernels = destination.startswith(("fe80", "ff00")) and message["dst_len"] >= 8
            if table == _LOCAL_TABLE or message["type"] in _LEADS_NOWHERE or kernels:
                continue
            default = message["dst_len"] <= _LIKE_A_DEFAULT
            for oif in _ways(message):
                device = called.get(oif, str(oif))
                text = f"{destination or 'default'}/{message['dst_len']}"
                if not message["dst_len"]:
                    text = "default" if family == socket.AF_INET else "default (IPv6)"
                if gateway := message.get_attr("RTA_GATEWAY"):
                    text += f" via {gateway}"
                found.append(Route(f"{text} dev {device}", device, default, table))
    return tuple(found)


def _ways(message: Any) -> list[int]:
    """Indices of the interfaces by which a route leads."""
    several = message.get_attr("RTA_MULTIPATH") or ()
    oif = message.get_attr("RTA_OIF")
    return [int(each["oif"]) for each in several] + ([] if oif is None else [int(oif)])


def _rules(netlink: Socket) -> tuple[str, ...]:
    """Those that are not the kernel's own."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in netlink.rules(family):
            priority = int(message.get_attr("FRA_PRIORITY") or 0)
            table = int(message.get_attr("FRA_TABLE") or message["table"])
            mark = message.get_attr("FRA_FWMARK")
            iif, oif = message.get_attr("FRA_IIFNAME"), message.get_attr("FRA_OIFNAME")
            plain = not (mark or iif or oif or message["src_len"] or message["dst_len"])
            if plain and (priority, table) in _KERNELS_RULES:
                continue
            source = message.get_attr("FRA_SRC")
            text = f"{priority}: from {source or 'all'}"
            text += f" fwmark {mark:#x}" if mark else ""
            text += f" iif {iif}" if iif else ""
            text += f" oif {oif}" if oif else ""
            found.append(f"{text} lookup {table}")
    return tuple(dict.fromkeys(found))


# Outside --------------------------------------------------------------------------------------


def _host_addresses() -> tuple[str, ...]:
    """The host's own, without loopback, link-local ones and our ends of veth pairs."""
    with Socket() as netlink:
        ours = {
            link["index"]
            for link in netlink.links()
            if link.get_attr("IFLA_GROUP") == names.LINK_GROUP
        }
        found = []
        for message in netlink.addresses():
            word = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            address = ipaddress.ip_address(str(word))
            own = message["index"] in ours or address.is_loopback or address.is_link_local
            if not own:
                found.append(str(address))
    return tuple(found)


# Tunnel ---------------------------------------------------------------------------------------


def _tunnel(record: Record, profile: Profile | None) -> dict[str, Any]:
    client = record.find(VpnClient)
    if client is not None:
        return _client(record, client)
    device = record.find(WireGuardDevice)
    if device is None:
        return {}
    userspace = wg.userspace(record, device)
    found: dict[str, Any] = {"implementation": "kernel" if userspace is None else userspace.name}
    found["mtu"] = device.mtu
    try:
        peers = wg.show(device, userspace is not None)
        found["socket"] = _misplaced(record, device)
    except (NetjailError, OSError):
        return found
    newest = max((peer.latest_handshake or 0 for peer in peers), default=0)
    found["handshake"] = max(0.0, time.time() - newest) if newest else None
    endpoint = next((peer.endpoint for peer in peers if peer.endpoint), None)
    if endpoint is not None:
        address = ipaddress.ip_address(endpoint.rpartition(":")[0].strip("[]").partition("%")[0])
        try:
            facts = HostFacts(Subnets(), lambda _text: None)
            found["path_mtu"] = facts.path_mtu(address, record.through)
            uplink = None if profile is None else profile.uplink
            padding = (uplink.s4 or 0) if isinstance(uplink, AmneziaWG) else 0
            found["overhead"] = _OVERHEAD[address.version] + padding
        except (NetjailError, NetlinkError):
            pass
    return found


def _misplaced(record: Record, device: WireGuardDevice) -> str:
    """What is wrong with the place of the encrypted socket; nothing where all is well."""
    userspace = wg.userspace(record, device)
    if userspace is not None:
        return _elsewhere(userspace, device.birth)
    with ns.inside_named(device.netns):
        said = process.run(
            [wg.TOOLS[device.protocol].tool, "show", device.jail_if, "listen-port"], timeout=5
        )
        inner = _udp_ports()
    with ns.inside_named(device.birth):
        outer = _udp_ports()
    port = int(said)
    if port in inner and port not in outer:
        return f"it is inside the jail (UDP port {port})"
    return ""


def _elsewhere(served: Process, birth: str | None) -> str:
    """What is wrong with the network in which a tunnel's process runs."""
    wanted = _identity(ns.path_of(birth) if birth else "/proc/self/ns/net")
    if _identity(f"/proc/{served.pid}/ns/net") == wanted:
        return ""
    return f"{served.name}, PID {served.pid}, runs in another network than it should"


def _client(record: Record, client: VpnClient) -> dict[str, Any]:
    """Of a VPN's client, which tells nothing of handshakes."""
    found: dict[str, Any] = {"implementation": client.program, "handshakes": False}
    served = record.process(client.program)
    if served is not None and served.alive():
        try:
            found["socket"] = _elsewhere(served, client.birth)
        except OSError:
            pass  # it has just ended
    return found


def _udp_ports() -> set[int]:
    """Local UDP ports in use in the thread's namespace."""
    found = set()
    for table in ("udp", "udp6"):
        try:
            with open(f"/proc/thread-self/net/{table}", encoding="ascii") as file:
                found |= {int(line.split()[1].rpartition(":")[2], 16) for line in list(file)[1:]}
        except FileNotFoundError:
            continue
    return found


# Programs -------------------------------------------------------------------------------------


def _held(record: Record, programs: Sequence[Program]) -> tuple[tuple[Held, ...], bool]:
    """Sockets of other networks, and whether something was not looked at."""
    if not programs or record.namespace is None:
        return (), False
    program = os.path.abspath(held.__file__)
    words = [*record.namespace, *(each.pid for each in programs[:4096])]
    argv = [sys.executable, "-I", "-S", program, *map(str, words)]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=HELD_SECONDS,
            check=True,
            env={"PATH": process.PATH},
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return (), True
    whose = {each.pid: each for each in programs}
    rows = tuple(
        Held(h["pid"], whose[h["pid"]].command, h["fd"], h["what"], whose[h["pid"]].uid)
        for h in found["held"]
        if h["pid"] in whose
    )
    return rows, bool(found["partly"])


def _strangers(profile: str, programs: Sequence[Program]) -> tuple[str, ...]:
    """Programs that do not see the jail's /etc, a sentence each."""
    found: list[str] = []
    known: dict[str, str] = {}
    for program in programs:
        try:
            where = os.readlink(f"/proc/{program.pid}/ns/mnt")
            if where not in known:
                with open(f"/proc/{program.pid}/mountinfo", encoding="utf-8") as file:
                    known[where] = files_differ(file.read(), profile)
        except (OSError, ValueError):
            continue  # it has ended
        if known[where]:
            found.append(f"{program.command}, PID {program.pid}, {known[where]}")
    if len(found) > _STRANGERS_MAX:
        found[_STRANGERS_MAX:] = [f"and {len(found) - _STRANGERS_MAX} more programs"]
    return tuple(found)


def files_differ(mountinfo: str, profile: str) -> str:
    """What is wrong with a mountinfo (proc(5)) of a program in a jail; "": it sees our files."""
    layer = f"lowerdir={names.view_dir(profile)}/etc"
    covered, ours = "", False
    for line in mountinfo.splitlines():
        words, _, tail = line.partition(" - ")
        place = words.split()[4]
        if place == "/etc":
            ours = layer in tail.replace(":", ",").split(" ")[-1].split(",")
            covered = ""
        elif place in ("/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts"):
            covered = place
    if not ours:
        return "does not see the profile's /etc"
    return f"sees another {covered}" if covered else ""
