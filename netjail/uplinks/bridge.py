# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of a bridge of the host."""

from __future__ import annotations

from netjail import names
from netjail.profile.model import Bridge, Profile
from netjail.uplinks import lan, naming
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Resource
from netjail.uplinks.wanted_lan import BridgePort


def describe(profile: Profile, uplink: Bridge, facts: Facts) -> tuple[Resource, ...]:
    """The port. Its MTU is the bridge's at most: a smaller one would become the bridge's own."""
    bridge_mtu = facts.bridge(uplink.bridge)
    mtu = min(uplink.mtu or bridge_mtu, bridge_mtu)
    port = BridgePort(
        netns=names.netns_name(profile.name),
        host_if=naming.host_interface(profile.name),
        jail_if=names.VETH_IF,
        bridge=uplink.bridge,
        mtu=mtu,
        mac=uplink.mac or naming.mac(facts.machine(), profile.name, "uplink"),
    )
    return (port, *lan.station(profile, uplink, facts, names.VETH_IF, mtu=mtu))
