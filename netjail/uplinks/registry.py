# SPDX-License-Identifier: GPL-3.0-or-later
"""From a profile to everything it wants of the kernel, in order."""

from __future__ import annotations

from netjail import names
from netjail.profile.model import (
    Bridge,
    Device,
    ForeignNetns,
    Ipvlan,
    Lan,
    Macvlan,
    NoUplink,
    OpenConnect,
    OpenVpn,
    Profile,
    SwitchUplink,
    Veth,
    WireGuard,
)
from netjail.uplinks import (
    borrowed,
    bridge,
    device,
    ipvlan,
    lan,
    links,
    macvlan,
    netns,
    none,
    openconnect,
    openvpn,
    portset,
    switch,
    veth,
    wireguard,
)
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Files, Netns, Resource
from netjail.uplinks.wanted_lan import AdoptedNetns


def describe(profile: Profile, facts: Facts) -> tuple[Resource, ...]:
    """All resources of a profile. Raises NetjailError where the host cannot give one of them."""
    match profile.uplink:
        case WireGuard() as uplink:
            own = wireguard.describe(profile, uplink, facts)
        case OpenVpn() as uplink:
            own = openvpn.describe(profile, uplink, facts)
        case OpenConnect() as uplink:
            own = openconnect.describe(profile, uplink, facts)
        case Veth() as uplink:
            own = veth.describe(profile, uplink, facts)
        case NoUplink() as uplink:
            own = none.describe(profile, uplink, facts)
        case Device() as uplink:
            own = device.describe(profile, uplink, facts)
        case Macvlan() as uplink:
            own = macvlan.describe(profile, uplink, facts)
        case Ipvlan() as uplink:
            own = ipvlan.describe(profile, uplink, facts)
        case Bridge() as uplink:
            own = bridge.describe(profile, uplink, facts)
        case SwitchUplink() as uplink:
            own = switch.describe(profile, uplink, facts)
        case ForeignNetns() as uplink:
            own = netns.describe(profile, uplink, facts)
            shared = (AdoptedNetns(uplink.name), files(profile, facts), *own)
            return (*shared, *portset.describe(profile, facts))
    further = links.describe(profile, facts) if profile.links else ()
    return (
        Netns(names.netns_name(profile.name)),
        files(profile, facts),
        *own,
        *further,
        *portset.describe(profile, facts),
        *borrowed.describe(profile),
    )


def files(profile: Profile, facts: Facts) -> Files:
    """The jail's resolv.conf and hosts, from the profile's `dns`."""
    dns = profile.dns
    foreign = profile.uplink if isinstance(profile.uplink, ForeignNetns) else None
    servers: tuple[str, ...] = tuple(str(server) for server in dns.servers)
    search: tuple[str, ...] = ()
    origin = "the profile"
    if lan.led_by_lease(profile) and not dns.servers:
        leased = facts.leased(profile.name)
        servers, search, origin = leased.servers, leased.search, leased.origin
    elif dns.mode == "uplink" and isinstance(profile.uplink, WireGuard):
        servers = tuple(str(server) for server in profile.uplink.dns_servers)
        search, origin = profile.uplink.dns_search, "the tunnel's configuration"
    elif dns.mode == "uplink" and isinstance(profile.uplink, Lan):
        leased = facts.leased(profile.name)
        servers, search, origin = leased.servers, leased.search, leased.origin
    elif dns.mode == "uplink" and isinstance(profile.uplink, ForeignNetns):
        found = facts.netns_dns(profile.uplink.name)
        servers, search, origin = found.servers, found.search, found.origin
    elif dns.mode == "uplink" and isinstance(profile.uplink, OpenVpn | OpenConnect):
        told = facts.told(profile.name)
        servers = told.servers or tuple(str(server) for server in profile.uplink.dns_servers)
        search = tuple(dict.fromkeys((*told.search, *profile.uplink.dns_search)))
        origin = "the VPN's server" if told.servers else "the profile"
    elif dns.mode == "host":
        host = facts.dns()
        search, origin, servers = host.search, host.origin, host.servers
        if veth.needs_relay(profile, facts):
            servers, origin = facts.subnet(profile.name).gateways[:1], "a relay to the host"
    return Files(
        profile=profile.name,
        netns=foreign.name if foreign else names.netns_name(profile.name),
        for_ip_netns=foreign is None,
        servers=servers,
        search=tuple(dict.fromkeys((*search, *dns.search))),
        origin=origin,
        hosts=tuple((name, str(address)) for name, address in dns.hosts),
    )
