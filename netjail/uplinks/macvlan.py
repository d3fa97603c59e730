# SPDX-License-Identifier: GPL-3.0-or-later
"""A MAC address of its own on the network of an interface of the host."""

from __future__ import annotations

from netjail import names
from netjail.errors import NetjailError
from netjail.profile.model import Macvlan, Profile
from netjail.uplinks import lan, naming
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Resource
from netjail.uplinks.wanted_lan import ChildLink


def describe(profile: Profile, uplink: Macvlan, facts: Facts) -> tuple[Resource, ...]:
    """The interface. Refused on Wi-Fi, where an access point takes packets of one MAC only."""
    parent = facts.parent(uplink.parent)
    if parent.wireless:
        raise NetjailError(
            "conflict",
            f"{uplink.parent} is a Wi-Fi interface: its access point accepts no second MAC address",
            f'use kind = "ipvlan" instead (netjail profile edit {profile.name})',
        )
    mac = uplink.mac or naming.mac(facts.machine(), profile.name, "uplink")
    mtu = min(uplink.mtu or parent.mtu, parent.mtu)
    link = ChildLink(
        netns=names.netns_name(profile.name),
        kind="macvlan",
        parent=uplink.parent,
        jail_if=names.VETH_IF,
        mode=uplink.mode,
        mtu=mtu,
        # with passthru it is the parent's own
        mac=None if uplink.mode == "passthru" else mac,
    )
    return (link, *lan.station(profile, uplink, facts, names.VETH_IF, mtu=mtu))
