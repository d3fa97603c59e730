# SPDX-License-Identifier: GPL-3.0-or-later
"""What all uplinks in a network of others have in common: addresses, routers, DHCP, names."""

from __future__ import annotations

from netjail import names
from netjail.profile.linkchecks import DHCP
from netjail.profile.model import Lan, NoUplink, Profile, WireGuard
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


def client(profile: Profile, jail_if: str, facts: Facts) -> DhcpClient:
    """The DHCP client of a link. Without an uplink the link may be the way out: the only one that
    has DHCP leads to everywhere, as the gateway of one with fixed addresses does."""
    facts.require_program(*PROGRAMS)
    alone = led_by_lease(profile)
    return DhcpClient(
        profile=profile.name,
        netns=names.netns_name(profile.name),
        jail_if=jail_if,
        uplink=alone,
        dns=alone and not profile.dns.servers,
        search=profile.dns.search if alone else (),
        avoid=() if alone else _elsewhere(profile),
    )


def led_by_lease(profile: Profile) -> bool:
    """Whether the lease of a link is all that leads this profile anywhere."""
    leading = [link for link in profile.links if link.addresses == DHCP or link.gateways]
    return (
        isinstance(profile.uplink, NoUplink) and len(leading) == 1 and leading[0].addresses == DHCP
    )


def _elsewhere(profile: Profile) -> tuple[str, ...]:
    """What a lease of a link must not draw in: the tunnel's own, resolvers, fixed networks."""
    found = [str(server) for server in profile.dns.servers]
    found += [str(a.network) for link in profile.links for a in link.static]
    uplink = profile.uplink
    if isinstance(uplink, WireGuard):
        found += [str(server) for server in uplink.dns_servers]
        found += [str(address.network) for address in uplink.addresses]
        found += [str(net) for peer in uplink.peers for net in peer.allowed_ips if net.prefixlen]
    elif isinstance(uplink, Lan):
        found += [str(address.network) for address in uplink.addresses]
    return tuple(dict.fromkeys(found))
