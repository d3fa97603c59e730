# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's real resolvers, as opposed to a stub on loopback that no jail can reach."""

from __future__ import annotations

import ipaddress

from netjail.uplinks.facts import HostDns

RESOLV_CONF = "/etc/resolv.conf"
RESOLVED_UPSTREAMS = "/run/systemd/resolve/resolv.conf"
"""systemd-resolved(8) lists the servers it knows itself there."""


def read(resolv_conf: str = RESOLV_CONF, resolved_upstreams: str = RESOLVED_UPSTREAMS) -> HostDns:
    """Servers a jail can reach; where the host only names loopback, what stands behind it."""
    servers, search = parse(_text(resolv_conf))
    reachable, stubs = split(servers)
    if reachable or not stubs:
        return HostDns(reachable, stubs, search, resolv_conf)
    if "127.0.0.53" in stubs or "127.0.0.54" in stubs:
        behind, domains = parse(_text(resolved_upstreams))
        reachable, _ = split(behind)
        if reachable:
            return HostDns(reachable, stubs, search or domains, resolved_upstreams)
    return HostDns((), stubs, search, resolv_conf)


def parse(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name servers and search domains of a resolv.conf(5); the last search or domain line wins."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver" and _is_address(words[1]):
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(word for word in words[1:] if word != ".")
    return tuple(dict.fromkeys(servers)), search


def split(servers: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(reachable, stubs). A link-local server needs the host's own link, so it is left out."""
    reachable, stubs = [], []
    for server in servers:
        address = ipaddress.ip_address(server)
        if address.is_loopback or address.is_unspecified:
            stubs.append(server)
        elif not address.is_link_local:
            reachable.append(str(address))
    return tuple(reachable), tuple(stubs)


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except OSError:
        return ""
