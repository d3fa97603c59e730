# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own uplink, through one veth pair and NAT."""

from __future__ import annotations

from netjail import names
from netjail.profile.model import Profile, Veth
from netjail.uplinks.facts import Facts
from netjail.uplinks.naming import host_interface
from netjail.uplinks.wanted import DnsRelay, Masquerade, PinnedRoutes, Resource, VethPair


def describe(profile: Profile, uplink: Veth, facts: Facts) -> tuple[Resource, ...]:
    """The pair, its routes, its NAT, and a DNS relay where the host's resolver is on loopback."""
    facts.require_program("nft")
    if uplink.interface is not None:
        facts.require_interface(uplink.interface)
    subnet = facts.subnet(profile.name)
    host_if = host_interface(profile.name)
    ipv6 = len(subnet.gateways) > 1
    wanted: list[Resource] = [
        VethPair(
            netns=names.netns_name(profile.name),
            host_if=host_if,
            jail_if=names.VETH_IF,
            mtu=uplink.mtu or facts.way_out_mtu(uplink.interface),
            host_addresses=subnet.host_addresses,
            jail_addresses=subnet.jail_addresses,
            gateways=subnet.gateways,
        ),
        Masquerade(
            host_if=host_if,
            ipv6=ipv6,
            way_out=uplink.interface,
            lan=uplink.lan,
            host=uplink.host,
            resolvers=resolvers(profile, facts),
        ),
    ]
    if uplink.interface is not None:
        wanted.insert(1, PinnedRoutes(host_if, uplink.interface, ipv6))
    if needs_relay(profile, facts):
        facts.require_program("dnsmasq")
        wanted.append(
            DnsRelay(
                profile=profile.name,
                host_if=host_if,
                listen=subnet.gateways[:1],
                upstreams=facts.dns().stubs,
            )
        )
    return tuple(wanted)


def needs_relay(profile: Profile, facts: Facts) -> bool:
    """Whether the host only has a resolver on loopback, which a jail cannot reach."""
    if profile.dns.mode != "host":
        return False
    host = facts.dns()
    return not host.servers and bool(host.stubs)


def resolvers(profile: Profile, facts: Facts) -> tuple[str, ...]:
    """The servers that the jail's resolv.conf names, when they are reached through this pair."""
    if profile.dns.mode == "static":
        return tuple(str(server) for server in profile.dns.servers)
    if needs_relay(profile, facts):
        return facts.subnet(profile.name).gateways[:1]
    return facts.dns().servers if profile.dns.mode == "host" else ()
