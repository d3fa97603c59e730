# SPDX-License-Identifier: GPL-3.0-or-later
"""DHCP servers: a dnsmasq for each switch that has one, and the leases it has given.

It reads one file, which we write and only root reads, and none of the host's; it becomes an
unprivileged user, who keeps what DHCP takes (raw sockets, ARP entries). Leases stand in a file
beside it, so that a server that is started again knows them.
"""

from __future__ import annotations

import pwd
from ipaddress import ip_address, ip_network
from typing import Any

from netjail.engine import files, links, ns, process
from netjail.engine.context import Context
from netjail.engine.record import Record, Records
from netjail.errors import NetjailError
from netjail.profile.serving import MOST
from netjail.uplinks.wanted_dhcp import DhcpPort, DhcpServer
from netjail.uplinks.wanted_links import SwitchPort

PROGRAM = "dnsmasq"
_SERVER_PORTS = {4: ("udp", 67), 6: ("udp6", 547)}
_RA_SECONDS = 60
_LEASES_FILE_MAX = 16 << 20


# The port --------------------------------------------------------------------------------------


def _as_port(wanted: DhcpPort) -> SwitchPort:
    return SwitchPort(
        profile=wanted.switch,
        netns=wanted.netns,
        jail_if=wanted.interface,
        switch=wanted.switch,
        port=wanted.port,
        mac=wanted.mac,
        mtu=wanted.mtu,
        addresses=wanted.addresses,
        vlan=wanted.vlan,
        strict=False,
    )


def apply_port(wanted: DhcpPort, context: Context) -> None:
    """Plug the server in. The switch stands: this is part of it."""
    undo_port(wanted, context)
    fabric = context.switches.fabric(wanted.switch)
    if fabric is None:
        raise NetjailError("system", f"switch {wanted.switch} has gone")
    links.plug_in(fabric, _as_port(wanted))


def port_present(wanted: DhcpPort, context: Context) -> bool:
    """Whether both ends stand."""
    return links.port_present(_as_port(wanted), context)


def undo_port(wanted: DhcpPort, context: Context) -> None:
    """Unplug it. Idempotent."""
    links.undo_port(_as_port(wanted), context)


# The server ------------------------------------------------------------------------------------


def _name(wanted: DhcpServer) -> str:
    return f"{PROGRAM}-{wanted.switch}"


def _file(wanted: DhcpServer, directory: str, what: str) -> str:
    return f"{directory}/dhcp-{wanted.switch}.{what}"


def _directory(context: Context) -> str:
    return f"{context.records.directory}/{context.record.profile}"


def _argv(wanted: DhcpServer, context: Context) -> list[str]:
    conf = _file(wanted, _directory(context), "conf")
    return [PROGRAM, "--keep-in-foreground", f"--conf-file={conf}"]


def apply(wanted: DhcpServer, context: Context) -> None:
    """Start it, with the leases that an earlier one has given. Raises NetjailError."""
    undo(wanted, context)
    leases = _file(wanted, _directory(context), "leases")
    files.write(
        _file(wanted, _directory(context), "conf"), configuration(wanted, leases, _user()), 0o600
    )
    log = context.log(_name(wanted))
    with ns.inside_named(wanted.netns):
        started = process.start(_name(wanted), _argv(wanted, context), log)
        context.remember(started)
        process.wait_for("listening", lambda: _listens(wanted), 20, started, log)


def configuration(wanted: DhcpServer, leases: str, user: str) -> str:
    """dnsmasq.conf(5). All values have been judged: no line can hold another."""
    v6 = any(":" in first for first, _, _ in wanted.ranges)
    lines = [
        "port=0",  # no DNS
        "no-resolv",
        "no-poll",
        "no-hosts",
        f"interface={wanted.interface}",
        "except-interface=lo",
        "bind-interfaces",
        "dhcp-authoritative",
        "no-ping",  # which takes 3 seconds for each new address
        f"dhcp-lease-max={MOST}",
        f"dhcp-leasefile={leases}",
        *(_range(*each, wanted.lease) for each in wanted.ranges),
        *_options(wanted),
        *(_host(who, address) for who, address in wanted.hosts),
        "quiet-dhcp",
        "quiet-dhcp6",
        "quiet-ra",
        f"user={user}",
        "pid-file=",
        "log-facility=-",
    ]
    if v6:
        lifetime = "" if wanted.router else ",0"  # 0: no way to everywhere else
        lines += ["enable-ra", f"ra-param={wanted.interface},{_RA_SECONDS}{lifetime}"]
    for line in lines:
        if not line.isprintable():
            raise NetjailError("internal", f"a line of dnsmasq.conf cannot be written: {line!r}")
    return "\n".join([*lines, ""])


def _range(first: str, last: str, prefix: int, lease: int) -> str:
    if ":" in first:
        return f"dhcp-range={first},{last},{prefix},{lease}s"
    mask = ip_network(f"0.0.0.0/{prefix}").netmask
    return f"dhcp-range={first},{last},{mask},{lease}s"


def _options(wanted: DhcpServer) -> list[str]:
    """An option without a value is not sent; without the line, dnsmasq would name itself."""
    routers = [g for g in wanted.gateways if ":" not in g]
    servers = [s for s in wanted.dns if ":" not in s]
    servers6 = [f"[{s}]" for s in wanted.dns if ":" in s]
    lines = [
        ",".join(["dhcp-option=option:router", *routers]),
        ",".join(["dhcp-option=option:dns-server", *servers]),
        ",".join(["dhcp-option=option6:dns-server", *servers6]),
    ]
    if wanted.domain is not None:
        lines.append(f"dhcp-option=option:domain-name,{wanted.domain}")
        lines.append(f"dhcp-option=option:domain-search,{wanted.domain}")
        lines.append(f"dhcp-option=option6:domain-search,{wanted.domain}")
    return lines


def _host(who: str, address: str) -> str:
    return f"dhcp-host={who},{f'[{address}]' if ':' in address else address}"


def _user() -> str:
    """The user that Debian's package makes, else nobody."""
    try:
        return pwd.getpwnam(PROGRAM).pw_name
    except KeyError:
        return "nobody"


def _listens(wanted: DhcpServer) -> bool:
    """Whether it waits for questions, in the thread's namespace."""
    versions = {6 if ":" in first else 4 for first, _, _ in wanted.ranges}
    return all(_bound(*_SERVER_PORTS[version]) for version in versions)


def _bound(table: str, port: int) -> bool:
    try:
        with open(f"/proc/thread-self/net/{table}", encoding="ascii") as file:
            return any(row.split()[1].endswith(f":{port:04X}") for row in file)
    except FileNotFoundError:
        return False


def present(wanted: DhcpServer, context: Context) -> bool:
    """Whether it runs."""
    running = context.record.process(_name(wanted))
    return running is not None and running.alive()


def undo(wanted: DhcpServer, context: Context) -> None:
    """Stop it. Idempotent. Its leases stay until what it belongs to goes."""
    running = context.record.process(_name(wanted)) or process.find(
        _argv(wanted, context), _name(wanted), pwd.getpwnam(_user()).pw_uid
    )
    if running is not None:
        process.stop(running)
        context.forget(_name(wanted))


# Leases ----------------------------------------------------------------------------------------


def leases(switch: str, switches: Records, jails: Records) -> list[dict[str, Any]]:
    """What has been given on a switch, by whoever serves it; [{address, mac, name, expires}]."""
    found = switches.get(switch)
    serving = [(switches, found)] if found is not None else []
    serving += [(jails, record) for record in jails.all()]
    rows = []
    for records, record in serving:
        for server in servers(record):
            if server.switch == switch:
                rows += _read(_file(server, f"{records.directory}/{record.profile}", "leases"))
    return rows


def given(record: Record, jails: Records) -> list[dict[str, Any]]:
    """What a profile that serves has given: as `leases`, with the link's `interface`, the `switch`,
    and the `profile` that has such a hardware address there, if it is one of ours."""
    ours = {
        (port.switch, port.mac): port.profile
        for each in jails.all()
        for port in each.resources
        if isinstance(port, SwitchPort)
    }
    rows = []
    for server in servers(record):
        for lease in _read(_file(server, f"{jails.directory}/{record.profile}", "leases")):
            profile = ours.get((server.switch, lease["mac"] or ""))
            where = {"interface": server.interface, "switch": server.switch, "profile": profile}
            rows.append({**lease, **where})
    return rows


def servers(record: Record) -> list[DhcpServer]:
    """The servers that belong to a jail or a switch."""
    return [each for each in record.resources if isinstance(each, DhcpServer)]


def _read(path: str) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return parse_leases(file.read(_LEASES_FILE_MAX))
    except OSError:
        return []


def parse_leases(text: str) -> list[dict[str, Any]]:
    """dnsmasq's lease file: expiry, hardware address (IPv6: an id), address, name, client's id.
    Names are what clients say of themselves. `expires`: unix seconds; None: never."""
    rows = []
    for line in text.splitlines():
        words = line.split()
        if len(words) != 5 or not (words[0].isascii() and words[0].isdigit()):
            continue  # "duid ...", or half a line
        try:
            address = ip_address(words[2])
        except ValueError:
            continue
        rows.append(
            {
                "address": str(address),
                "mac": words[1] if address.version == 4 else None,
                "name": None if words[3] == "*" else words[3],
                "expires": int(words[0]) or None,
            }
        )
    return rows
