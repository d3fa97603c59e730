# SPDX-License-Identifier: GPL-3.0-or-later
"""An address of its own on the network of an interface of the host, with that one's MAC address."""

from __future__ import annotations

from netjail import names
from netjail.profile.model import Ipvlan, Profile
from netjail.uplinks import lan, naming
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Resource
from netjail.uplinks.wanted_lan import ChildLink


def describe(profile: Profile, uplink: Ipvlan, facts: Facts) -> tuple[Resource, ...]:
    """The interface. A DHCP server tells it from the host by a client identifier alone."""
    parent = facts.parent(uplink.parent)
    mtu = min(uplink.mtu or parent.mtu, parent.mtu)
    link = ChildLink(
        netns=names.netns_name(profile.name),
        kind="ipvlan",
        parent=uplink.parent,
        jail_if=names.VETH_IF,
        mode=uplink.mode,
        mtu=mtu,
        mac=None,
    )
    # type 0 and an opaque value: RFC 2132 section 9.14
    client_id = "00" + naming.mac(facts.machine(), profile.name, "uplink").replace(":", "")
    station = lan.station(
        profile,
        uplink,
        facts,
        names.VETH_IF,
        mtu=mtu,
        client_id=client_id,
        arp=uplink.mode != "l3",
    )
    return (link, *station)
