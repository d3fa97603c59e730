# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a jail and is not ours is never touched: refuse."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from ipaddress import ip_interface

from netjail import names
from netjail.engine import ns, portset, served
from netjail.engine.netlink import is_foreign
from netjail.engine.record import Records, claims
from netjail.errors import NetjailError
from netjail.profile.links import overlap
from netjail.uplinks.wanted import Netns, Resource, VethPair, VpnClient, WireGuardDevice
from netjail.uplinks.wanted_dhcp import DhcpServer
from netjail.uplinks.wanted_lan import BridgePort, Station
from netjail.uplinks.wanted_links import SwitchPort


def check(profile: str, wanted: Collection[Resource], records: Records) -> None:
    """Raises NetjailError("conflict") for whatever has a name that one of `wanted` needs."""
    for resource in wanted:
        if isinstance(resource, Netns):
            check_name(profile)
        elif isinstance(resource, VethPair | BridgePort):
            _check_interface(None, resource.host_if)
        elif isinstance(resource, WireGuardDevice | VpnClient):
            _check_interface(resource.birth, resource.born_as)
    for what in claims(wanted):
        _must_be_its_own(profile, what, records.holder(what))
    check_links(profile, wanted, records)


def claim(profile: str, wanted: Collection[Resource], records: Records) -> None:
    """Take what there can be only one of, before anything is made. Raises NetjailError."""
    check_links(profile, wanted, records)
    for what in claims(wanted):
        _must_be_its_own(profile, what, records.claim(profile, what))


def check_links(profile: str, wanted: Collection[Resource], records: Records) -> None:
    """No two on a switch may have an address in common, or networks that overlap. (A profile that
    is down is not asked.) One alone may serve DHCP there, be the other up or down: that is what
    keeps the switch's own server away. And nobody else may listen where a port of the profile's
    is to."""
    portset.check(profile, wanted, records)
    _check_servers(profile, wanted)
    ports = _ports(wanted)
    if not ports:
        return
    mine: dict[tuple[str, str], SwitchPort] = {}
    for port in ports:
        for what in _taken_by(port):
            if what in mine:
                raise NetjailError(
                    "conflict",
                    f"profile {profile} has {what[1]} on switch {port.switch} twice",
                    f"netjail profile edit {profile}",
                )
            mine[what] = port
    for record in records.all():
        if record.profile == profile:
            continue
        for other in _ports(record.resources):
            for what in _taken_by(other):
                if what in mine:
                    raise NetjailError(
                        "conflict",
                        f"the profile {record.profile}, which is up, has {what[1]} on switch "
                        f"{other.switch} already",
                        f"netjail profile edit {profile}, and take another one",
                    )
            for port in ports:
                _check_networks(profile, port, record.profile, other)


def _ports(resources: Iterable[Resource]) -> list[SwitchPort]:
    """With their fixed addresses, also where they are the uplink's to set."""
    found = list(resources)
    fixed = {(r.netns, r.jail_if): r.addresses for r in found if isinstance(r, Station)}
    return [
        replace(port, addresses=(*port.addresses, *fixed.get((port.netns, port.jail_if), ())))
        for port in found
        if isinstance(port, SwitchPort)
    ]


def _check_servers(profile: str, wanted: Collection[Resource]) -> None:
    for server in wanted:
        if not isinstance(server, DhcpServer):
            continue
        others = [name for name in served.by_whom(server.switch) if name != profile]
        if others:
            raise NetjailError(
                "conflict",
                f"both {profile} and {others[0]} are to serve DHCP on switch {server.switch}: "
                "there can be one server only",
                f"netjail profile edit {profile} (or {others[0]}), and take serve_dhcp out",
            )


def _check_networks(profile: str, port: SwitchPort, name: str, other: SwitchPort) -> None:
    """One network on a switch has one prefix length, else who is in it depends on who asks."""
    if (port.switch, port.vlan) != (other.switch, other.vlan):
        return
    for text in port.addresses:
        for theirs in other.addresses:
            ours, its = ip_interface(text).network, ip_interface(theirs).network
            if ours != its and overlap(ours, its):
                raise NetjailError(
                    "conflict",
                    f"{text} of profile {profile} overlaps {theirs} of {name}, which is up on "
                    f"switch {port.switch} as well: one of the two prefix lengths is wrong",
                    f"netjail profile edit {profile}",
                )


def _taken_by(port: SwitchPort) -> list[tuple[str, str]]:
    where = f"{port.switch} {port.vlan}"
    return [(where, text.partition("/")[0]) for text in (*port.addresses, port.mac)]


def check_name(profile: str) -> None:
    """The namespace's own name."""
    netns = names.netns_name(profile)
    if os.path.lexists(ns.path_of(netns)):
        raise NetjailError(
            "conflict",
            f"a network namespace {netns} exists that netjail did not make",
            f"delete it (`sudo ip netns del {netns}`) or rename the profile",
        )


def _check_interface(netns: str | None, name: str) -> None:
    with ns.inside_named(netns):
        if is_foreign(name):
            raise NetjailError(
                "conflict",
                f"an interface {name} exists that netjail did not make",
                f"rename or delete it (`sudo ip link delete {name}`), or rename the profile",
            )


def _must_be_its_own(profile: str, what: str, holder: str | None) -> None:
    if holder not in (None, profile):
        raise NetjailError(
            "conflict",
            f"the profile {holder}, which is up, has {what}, which this one needs",
            "rename one of the two profiles",
        )
