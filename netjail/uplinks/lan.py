# SPDX-License-Identifier: GPL-3.0-or-later
"""What all uplinks in a network of others have in common: addresses, routers, DHCP, names."""

from __future__ import annotations

from netjail import names
from netjail.profile.model import Lan, Profile
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted_lan import DhcpClient, Station

PROGRAMS = ("udhcpc", "setpriv", "prlimit")


def station(
    profile: Profile,
    uplink: Lan,
    facts: Facts,
    jail_if: str,
    *,
    mtu: int,
    client_id: str | None = None,
    arp: bool = True,
) -> tuple[Station | DhcpClient, ...]:
    """The interface at work, and its DHCP client. `mtu`: what the interface has."""
    netns = names.netns_name(profile.name)
    gateways = tuple(str(gateway) for gateway in uplink.gateways)
    later = [g for g in gateways if uplink.dhcp and ":" not in g]
    wanted: list[Station | DhcpClient] = [
        Station(
            netns=netns,
            jail_if=jail_if,
            addresses=tuple(str(address) for address in uplink.addresses),
            # an IPv4 router can only be told of once there is an address to reach it from
            gateways=tuple(g for g in gateways if g not in later),
            accept_ra=uplink.accept_ra,
            arp=arp,
        )
    ]
    if uplink.dhcp:
        facts.require_program(*PROGRAMS)
        wanted.append(
            DhcpClient(
                profile=profile.name,
                netns=netns,
                jail_if=jail_if,
                uplink=True,
                dns=profile.dns.mode == "uplink",
                search=profile.dns.search,
                gateways=tuple(later),
                mtu=None if uplink.mtu is not None else mtu,
                client_id=client_id,
            )
        )
    return tuple(wanted)
