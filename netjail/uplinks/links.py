# SPDX-License-Identifier: GPL-3.0-or-later
"""Links: cables to other profiles, and ports of switches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from netjail import names
from netjail.errors import NetjailError
from netjail.profile import serving
from netjail.profile.linkchecks import DHCP
from netjail.profile.links import overlap
from netjail.profile.model import Interface, Link, NoUplink, Profile, Shape
from netjail.profile.switch import Switch
from netjail.uplinks import dhcp_server, lan, naming
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted_dhcp import DhcpServer
from netjail.uplinks.wanted_lan import DhcpClient
from netjail.uplinks.wanted_links import CrossLink, LinkResource, Shaped, SwitchPort

MTU = 1500


def describe(profile: Profile, facts: Facts) -> tuple[LinkResource | DhcpServer | DhcpClient, ...]:
    """All links, in the order of the file. Raises NetjailError for the first that cannot be."""
    found: list[LinkResource | DhcpServer | DhcpClient] = []
    for link in profile.links:
        if link.peer is not None:
            found.append(cable(profile, link, facts))
            continue
        found.append(port(profile, link, facts))
        if link.serve_dhcp:
            assert link.switch is not None
            switch = find_switch(profile.name, link.switch, facts)
            known = partial(_known, facts)
            found.append(dhcp_server.of_link(profile, link, switch, facts.machine(), known))
        if link.addresses == DHCP:
            found.append(lan.client(profile, link.name, facts))
    return tuple(found)


def _known(facts: Facts, name: str) -> Profile | None:
    try:
        return facts.profile(name)
    except NetjailError:
        return None


# Cables ----------------------------------------------------------------------------------------


def cable(profile: Profile, link: Link, facts: Facts) -> CrossLink:
    """One end of it. The other end is looked up, so that what cannot fit is told before."""
    assert link.peer is not None
    between = [each for each in profile.links if each.peer == link.peer]
    number = between.index(link)
    theirs = _other_end(profile, link.peer, number, facts)
    _check_ends(profile, link, theirs, link.peer)
    return CrossLink(
        profile=profile.name,
        netns=names.netns_name(profile.name),
        jail_if=link.name,
        peer=link.peer,
        number=number,
        mac=link.mac or naming.mac(facts.machine(), profile.name, "peer", link.peer, str(number)),
        mtu=link.mtu or theirs.mtu or MTU,
        addresses=tuple(map(str, link.static)),
        gateways=tuple(map(str, link.gateways)),
        strict=strict(profile),
        shape=shaped(link.shape or theirs.shape),
    )


def shaped(shape: Shape | None) -> Shaped:
    """As the engine takes it."""
    if shape is None:
        return ()
    return (shape.delay or 0.0, shape.jitter or 0.0, shape.loss or 0.0, shape.rate or 0)


def strict(profile: Profile) -> bool:
    """Without an uplink nothing is to be protected, and ways may be as crooked as one likes."""
    return not isinstance(profile.uplink, NoUplink)


def _other_end(profile: Profile, peer: str, number: int, facts: Facts) -> Link:
    try:
        other = facts.profile(peer)
    except NetjailError as error:
        raise NetjailError(
            error.code,
            f"profile {profile.name} has a link to {peer}, but {error.message}",
            error.hint,
            error.problems,
        ) from None
    back = [each for each in other.links if each.peer == profile.name]
    if number < len(back):
        return back[number]
    has = (
        "no link" if not back else "only one link" if len(back) == 1 else f"only {len(back)} links"
    )
    raise NetjailError(
        "conflict",
        f"profile {profile.name} has {'a' if not back else 'a further'} link to {peer}, "
        f"but {peer} has {has} to {profile.name}: each end of a cable stands in its own profile",
        f'netjail profile edit {peer}, and add: [[link]] peer = "{profile.name}"',
    )


def _check_ends(profile: Profile, link: Link, theirs: Link, peer: str) -> None:
    hint = f"netjail profile edit {profile.name}"
    if link.mtu and theirs.mtu and link.mtu != theirs.mtu:
        raise NetjailError(
            "conflict",
            f"the two ends of the link between {profile.name} and {peer} have different mtu: "
            f"{link.mtu} and {theirs.mtu}",
            hint,
        )
    if link.shape and theirs.shape and link.shape != theirs.shape:
        raise NetjailError(
            "conflict",
            f"the two ends of the link between {profile.name} and {peer} have different shapes; "
            "one is enough: it holds for both directions",
            hint,
        )
    if link.mac and link.mac == theirs.mac:
        raise NetjailError(
            "conflict", f"both ends of the link between {profile.name} and {peer} have {link.mac}"
        )
    for version in (4, 6):
        ours = [a for a in link.static if a.version == version]
        others = [a for a in theirs.static if a.version == version]
        for address in ours:
            if address.ip in [other.ip for other in others]:
                raise NetjailError(
                    "conflict",
                    f"both ends of the link between {profile.name} and {peer} have the address "
                    f"{address.ip}",
                    hint,
                )
        if ours and others and not any(overlap(a.network, b.network) for a in ours for b in others):
            raise NetjailError(
                "conflict",
                f"the two ends of the link between {profile.name} and {peer} are not on one "
                f"network: {ours[0]} and {others[0]}",
                hint,
            )


# Ports of switches -----------------------------------------------------------------------------


def port(profile: Profile, link: Link, facts: Facts) -> SwitchPort:
    """A port, by what the switch's file says now."""
    assert link.switch is not None
    switch = find_switch(profile.name, link.switch, facts)
    check_port(profile, link, switch, facts)
    return SwitchPort(
        profile=profile.name,
        netns=names.netns_name(profile.name),
        jail_if=link.name,
        switch=switch.name,
        port=naming.port(profile.name, link.name, facts.on_host(switch)),
        mac=link.mac or naming.mac(facts.machine(), profile.name, "switch", switch.name, link.name),
        mtu=link.mtu or switch.mtu or MTU,
        addresses=tuple(map(str, link.static)),
        gateways=tuple(map(str, link.gateways)),
        vlan=link.vlan or switch.vlan,
        isolated=switch.isolated and not link.serve_dhcp,
        strict=strict(profile),
        shape=shaped(link.shape),
    )


def find_switch(profile: str, name: str, facts: Facts) -> Switch:
    """A switch that a profile names. Raises NetjailError("no-such-switch")."""
    try:
        return facts.switch(name)
    except NetjailError as error:
        raise NetjailError(
            error.code,
            f"profile {profile} has a link to switch {name}, but {error.message}",
            error.hint,
            error.problems,
        ) from None


def check_port(profile: Profile, link: Link, switch: Switch, facts: Facts) -> None:
    """Raises NetjailError("conflict") where a port and its switch's file do not go together."""
    if link.vlan is not None and switch.vlan is None:
        raise NetjailError(
            "conflict",
            f"profile {profile.name} wants VLAN {link.vlan} of switch {switch.name}, "
            "which has no VLANs",
            f"netjail switch edit {switch.name}, and add vlan = 1 (or another) for its other ports",
        )
    if link.mtu is not None and switch.mtu is not None and link.mtu > switch.mtu:
        raise NetjailError(
            "conflict",
            f"profile {profile.name} has a link of mtu {link.mtu} to switch {switch.name}, "
            f"which takes {switch.mtu}",
            f"netjail profile edit {profile.name}",
        )
    for address in link.static:
        if address.ip in [each.ip for each in switch.host_addresses]:
            raise NetjailError(
                "conflict",
                f"profile {profile.name} has the address {address.ip} on switch {switch.name}, "
                "where it is the host's",
                f"netjail profile edit {profile.name}",
            )
    if switch.dhcp is not None and not link.serve_dhcp and link.vlan in (None, switch.vlan):
        own = (
            ()
            if facts.served(switch)
            else serving.server_addresses(switch.dhcp, switch.host_addresses)
        )
        _check_served(profile, link, switch, own)


def _check_served(profile: Profile, link: Link, switch: Switch, own: Sequence[Interface]) -> None:
    """Fixed addresses beside those of a DHCP server, whose `own` are these."""
    dhcp = switch.dhcp
    assert dhcp is not None
    for address in link.static:
        what = None
        if address.ip in [each.ip for each in own]:
            what = "where it is the DHCP server's"
        elif any(address.ip == given and who != profile.name for who, given in dhcp.hosts):
            what = "where [dhcp.hosts] keeps it for another"
        elif any(
            first.version == address.version and int(first) <= int(address.ip) <= int(last)
            for first, last in dhcp.ranges
        ):
            what = "which hands it out to others"
        if what is not None:
            raise NetjailError(
                "conflict",
                f"profile {profile.name} has the address {address.ip} on switch {switch.name}, "
                f"{what}",
                f'netjail profile edit {profile.name}, and take another one, or address = "dhcp"',
            )
