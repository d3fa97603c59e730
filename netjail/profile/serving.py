# SPDX-License-Identifier: GPL-3.0-or-later
"""[dhcp] of a switch: on which networks it hands out addresses, and whether that can be. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING

from netjail.profile.model import Address, Interface, Network
from netjail.profile.tables import Report

if TYPE_CHECKING:
    from netjail.profile.switch import Dhcp

_USUAL = {4: 24, 6: 64}
"""Prefix length where nothing says another."""
_WIDEST = {4: 12, 6: 64}
"""dnsmasq's own limit for IPv6; for IPv4 a million of addresses."""
MOST = 65536
"""Leases of one server."""


def versions(dhcp: Dhcp) -> list[int]:
    """The families that are handed out."""
    return sorted({first.version for first, _ in dhcp.ranges})


def network(dhcp: Dhcp, version: int, known: Sequence[Interface]) -> Network:
    """That of one family. `known`: addresses with prefix length of the server, and of the host;
    where none of them has the range in its network, it is the usual size or as large as needed."""
    first = next(first for first, _ in dhcp.ranges if first.version == version)
    for address in (*dhcp.addresses, *known):
        if address.version == version and first in address.network:
            return address.network
    inside = [a for pair in dhcp.ranges for a in pair if a.version == version]
    inside += [a for a in dhcp.gateways if a.version == version]
    prefix = _USUAL[version]
    while True:
        found = ip_network(f"{first}/{prefix}", strict=False)
        if prefix == _WIDEST[version] or all(a in found for a in inside):
            return found
        prefix -= 1


def server_addresses(dhcp: Dhcp, known: Sequence[Interface]) -> tuple[Interface, ...]:
    """The server's own: those of the file, else the last of each network that is nobody's."""
    found = []
    for version in versions(dhcp):
        given = [a for a in dhcp.addresses if a.version == version]
        if given:
            found += given
            continue
        net = network(dhcp, version, known)
        address = next(_free(dhcp, net, known), None)
        if address is not None:
            found.append(ip_interface(f"{address}/{net.prefixlen}"))
    return tuple(found)


def _free(dhcp: Dhcp, net: Network, known: Sequence[Interface]) -> Iterator[Address]:
    taken = {*dhcp.gateways, *dhcp.dns, *(a for _, a in dhcp.hosts), *(i.ip for i in known)}
    for number in range(2, min(net.num_addresses - 1, MOST)):  # 1 is the broadcast address
        address = net[-number]
        inside = any(
            a.version == net.version and int(a) <= int(address) <= int(b) for a, b in dhcp.ranges
        )
        if address not in taken and not inside:
            yield address


def judge(dhcp: Dhcp, host: Sequence[Interface], report: Report) -> None:
    """Every contradiction. `host`: the addresses of the host's port."""
    for version in versions(dhcp):
        net = network(dhcp, version, host)
        if version == 6 and net.prefixlen < _WIDEST[6]:
            report.problem(("dhcp", "range"), f"is on {net}; IPv6 networks of hosts are /64")
        own = [a for a in (*dhcp.addresses, *host) if a.version == version]
        _ranges(dhcp, net, [i.ip for i in own], report)
        if not any(a.version == version for a in server_addresses(dhcp, host)):
            report.problem(
                ("dhcp", "address"), f"is missing, and no address of {net} is left for the server"
            )
        for gateway in dhcp.gateways:
            if gateway.version == version and gateway not in net and not gateway.is_link_local:
                report.problem(("dhcp", "gateway"), f"{gateway} is not on {net}")
        for who, address in dhcp.hosts:
            if address.version == version and address not in net:
                report.problem(("dhcp", "hosts", who), f"{address} is not on {net}")
    _hosts(dhcp, report)
    families = versions(dhcp)
    for key, addresses in (("gateway", dhcp.gateways), ("address", [i.ip for i in dhcp.addresses])):
        for address in addresses:
            if address.version not in families:
                report.problem(
                    ("dhcp", key), f"{address} is of a family of which no range is handed out"
                )


def _ranges(dhcp: Dhcp, net: Network, own: Sequence[Address], report: Report) -> None:
    seen: list[tuple[Address, Address]] = []
    for first, last in dhcp.ranges:
        if first.version != net.version:
            continue
        if first not in net or last not in net:
            report.problem(("dhcp", "range"), f"{first}-{last} is not all on {net}")
        for other, end in seen:
            if int(first) <= int(end) and int(other) <= int(last):
                report.problem(("dhcp", "range"), f"{first}-{last} overlaps {other}-{end}")
        seen.append((first, last))
        for address in (*own, *(g for g in dhcp.gateways if g.version == net.version)):
            if int(first) <= int(address) <= int(last):
                report.problem(
                    ("dhcp", "range"), f"{first}-{last} has {address} in it, which is taken"
                )


def _hosts(dhcp: Dhcp, report: Report) -> None:
    seen: dict[object, str] = {}
    for who, address in dhcp.hosts:
        if address.version not in versions(dhcp):
            report.problem(
                ("dhcp", "hosts", who), f"{address} is of a family of which no range is handed out"
            )
        if address in seen:
            report.problem(("dhcp", "hosts", who), f"{address} is that of {seen[address]} already")
        seen[address] = who


def announced(dhcp: Dhcp, own: Sequence[Interface]) -> bool:
    """Whether the server itself is the way out for IPv6: nobody can announce another."""
    return any(g.version == 6 and g in [i.ip for i in own] for g in dhcp.gateways)
