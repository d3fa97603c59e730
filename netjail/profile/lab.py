# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab: profiles and switches that belong together, in one directory, judged together. Pure.

    DIR/profiles/NAME.toml     a profile each
    DIR/switches/NAME.toml     a switch each

What one file can say wrongly is told by its own reader; here it is told what files are to each
other, before anything is touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import serving, switch, toml
from netjail.profile.links import overlap
from netjail.profile.model import Interface, Link, Profile, SwitchUplink
from netjail.profile.switch import Switch

PROFILES, SWITCHES = "profiles", "switches"
MARK = "# netjail lab: "
"""First line of what `lab up` has stored, before the lab's name: what it may take away again."""


@dataclass(frozen=True, slots=True)
class Lab:
    """Valid as a whole where `problems` is empty. Texts by name, as they are in the files."""

    name: str
    profiles: Mapping[str, Profile]
    switches: Mapping[str, Switch]
    texts: Mapping[tuple[str, str], str]
    """(PROFILES or SWITCHES, name) to text."""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    name: str
    profiles: dict[str, Profile] = field(default_factory=dict)
    switches: dict[str, Switch] = field(default_factory=dict)
    broken: set[tuple[str, str]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def wrong(self, kind: str, name: str, what: str) -> None:
        self.problems.append(f"{kind}/{name}.toml: {what}")


def read(name: str, texts: Mapping[tuple[str, str], str]) -> Lab:
    """Judge the files of a lab. Every problem of all of them is collected."""
    found = _Reading(name)
    for (kind, each), text in sorted(texts.items()):
        if not names.valid_name(each):
            found.wrong(kind, each, "a name has 1 to 31 of a-z, 0-9, - and _")
            found.broken.add((kind, each))
        elif kind == PROFILES:
            _read(found, kind, each, partial(toml.parse, each, text), found.profiles)
        else:
            _read(found, kind, each, partial(switch.parse, each, text), found.switches)
    if not texts:
        found.problems.append(f"there is no {PROFILES}/NAME.toml and no {SWITCHES}/NAME.toml")
    for profile in found.profiles.values():
        _judge_links(profile, found)
    for each_switch in found.switches.values():
        _judge_switch(each_switch, found)
    return Lab(
        name,
        found.profiles,
        found.switches,
        dict(texts),
        tuple(dict.fromkeys(found.problems)),
        tuple(dict.fromkeys(found.warnings)),
    )


def _read(
    found: _Reading,
    kind: str,
    name: str,
    parse: Callable[[], tuple[Any, list[str]]],
    into: dict[str, Any],
) -> None:
    try:
        into[name], warnings = parse()
    except NetjailError as error:
        found.broken.add((kind, name))
        own = f"{name}.toml"
        found.problems += [
            f"{kind}/{problem}" if problem.startswith(own) else f"{kind}/{own}: {problem}"
            for problem in error.problems or (error.message,)
        ]
        return
    found.warnings += [f"{kind}/{name}.toml: {warning}" for warning in warnings]


def _judge_links(profile: Profile, found: _Reading) -> None:
    for link in profile.links:
        if link.peer is not None:
            _judge_cable(profile, link, found)
        elif link.switch in found.switches:
            _judge_port(profile, link, found.switches[link.switch], found)
        elif (SWITCHES, link.switch) not in found.broken:
            found.wrong(
                PROFILES,
                profile.name,
                f"link to switch {link.switch}, of which there is no {SWITCHES}/{link.switch}.toml",
            )
    _judge_uplink(profile, found)
    through = profile.through
    if through is not None and through not in found.profiles:
        if (PROFILES, through) not in found.broken:
            found.warnings.append(
                f"{PROFILES}/{profile.name}.toml: goes through {through}, which is not of this lab "
                "and must be there already"
            )
        return
    seen = {profile.name}
    while through is not None and through in found.profiles:
        if through in seen:
            found.wrong(PROFILES, profile.name, f"goes through {through}, and so through itself")
            return
        seen.add(through)
        through = found.profiles[through].through


def _judge_uplink(profile: Profile, found: _Reading) -> None:
    uplink = profile.uplink
    if not isinstance(uplink, SwitchUplink):
        return
    its = found.switches.get(uplink.switch)
    if its is not None:
        if its.dhcp is None and uplink.dhcp:
            found.wrong(
                PROFILES,
                profile.name,
                f"uplink by DHCP on switch {its.name}, which has no [dhcp]",
            )
    elif (SWITCHES, uplink.switch) not in found.broken:
        found.wrong(
            PROFILES,
            profile.name,
            f"uplink by switch {uplink.switch}, of which there is no "
            f"{SWITCHES}/{uplink.switch}.toml",
        )


def _judge_cable(profile: Profile, link: Link, found: _Reading) -> None:
    peer = link.peer
    assert peer is not None
    other = found.profiles.get(peer)
    if other is None:
        if (PROFILES, peer) not in found.broken:
            found.wrong(
                PROFILES,
                profile.name,
                f"link to profile {peer}, of which there is no {PROFILES}/{peer}.toml",
            )
        return
    number = [each for each in profile.links if each.peer == peer].index(link)
    back = [each for each in other.links if each.peer == profile.name]
    if number >= len(back):
        found.wrong(
            PROFILES,
            profile.name,
            f"link to profile {peer}, which has no such link to {profile.name}: each end of a "
            "cable stands in its own profile",
        )
        return
    theirs = back[number]
    for version in (4, 6):
        ours = [a for a in link.static if a.version == version]
        others = [a for a in theirs.static if a.version == version]
        for address in ours:
            if address.ip in [each.ip for each in others]:
                found.wrong(PROFILES, profile.name, f"{address.ip} is also {peer}'s on that link")
        if ours and others and not any(overlap(a.network, b.network) for a in ours for b in others):
            found.wrong(
                PROFILES,
                profile.name,
                f"{ours[0]} and {peer}'s {others[0]} on that link are not of one network",
            )


def _judge_port(profile: Profile, link: Link, its: Switch, found: _Reading) -> None:
    if link.vlan is not None and its.vlan is None:
        found.wrong(
            PROFILES, profile.name, f"VLAN {link.vlan} of switch {its.name}, which has no VLANs"
        )
    if link.mtu is not None and its.mtu is not None and link.mtu > its.mtu:
        found.wrong(
            PROFILES,
            profile.name,
            f"mtu {link.mtu} on switch {its.name}, which takes {its.mtu} at most",
        )
    if its.dhcp is None:
        if link.addresses == "dhcp":
            found.wrong(
                PROFILES,
                profile.name,
                f'address = "dhcp" on switch {its.name}, which has no [dhcp]',
            )
        if link.serve_dhcp:
            found.wrong(
                PROFILES, profile.name, f"serve_dhcp on switch {its.name}, which has no [dhcp]"
            )


def _judge_switch(its: Switch, found: _Reading) -> None:
    """Who is on it, by VLAN: nobody twice, nobody where the server gives to others."""
    members = [
        (profile.name, link)
        for profile in found.profiles.values()
        for link in profile.links
        if link.switch == its.name
    ]
    servers = [name for name, link in members if link.serve_dhcp]
    for name in servers[1:]:
        found.wrong(
            PROFILES, name, f"serve_dhcp on switch {its.name}, where {servers[0]} serves already"
        )
    taken: dict[tuple[int | None, object], str] = {}
    for address in its.host_addresses:
        taken[its.vlan, address.ip] = "the host"
    nets: dict[int | None, list[tuple[str, Interface]]] = defaultdict(list)
    server = _server(its, bool(servers))
    for name, link in members:
        vlan = link.vlan or its.vlan
        for address in link.static:
            other = taken.setdefault((vlan, address.ip), name)
            if other != name:
                found.wrong(
                    PROFILES, name, f"{address.ip} on switch {its.name} is {other}'s already"
                )
            _judge_network(name, address, nets[vlan], its, found)
            nets[vlan].append((name, address))
            if vlan == its.vlan:
                _judge_range(name, address, its, server, found)


def _judge_network(
    name: str, address: Interface, before: list[tuple[str, Interface]], its: Switch, found: _Reading
) -> None:
    for other, theirs in before:
        if overlap(address.network, theirs.network) and address.network != theirs.network:
            found.wrong(
                PROFILES,
                name,
                f"{address} on switch {its.name} overlaps {other}'s {theirs}, and is not the same "
                "network: one of the two prefix lengths is wrong",
            )
            return


def _server(its: Switch, by_profile: bool) -> tuple[Interface, ...]:
    if its.dhcp is None or by_profile:
        return ()
    return serving.server_addresses(its.dhcp, its.host_addresses)


def _judge_range(
    name: str, address: Interface, its: Switch, server: tuple[Interface, ...], found: _Reading
) -> None:
    for own in server:
        if own.ip == address.ip:
            found.wrong(
                PROFILES,
                name,
                f"{address.ip} on switch {its.name} is the DHCP server's: give the switch another "
                "dhcp.address",
            )
    for first, last in its.dhcp.ranges if its.dhcp is not None else ():
        if first.version == address.version and int(first) <= int(address.ip) <= int(last):
            found.wrong(
                PROFILES,
                name,
                f"{address.ip} is in {first}-{last}, which switch {its.name} hands out to others",
            )


def marked(lab: str, text: str) -> str:
    """A text as it is stored for a lab."""
    return f"{MARK}{lab}\n{text}"


def lab_of(text: str) -> str | None:
    """The lab that a stored text is of."""
    line = text.removeprefix("\ufeff").split("\n", 1)[0]
    return line.removeprefix(MARK).strip() if line.startswith(MARK) else None
