# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of a switch of netjail's as the way out."""

from __future__ import annotations

from dataclasses import replace

from netjail import names
from netjail.profile.model import Link, Profile, SwitchUplink
from netjail.uplinks import lan, links
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Resource


def describe(profile: Profile, uplink: SwitchUplink, facts: Facts) -> tuple[Resource, ...]:
    """The same port that a link to the switch would be, and what makes an uplink of it."""
    link = Link(
        name=names.VETH_IF,
        switch=uplink.switch,
        mac=uplink.mac,
        mtu=uplink.mtu,
        vlan=uplink.vlan,
    )
    port = links.port(profile, link, facts)
    fixed = replace(link, addresses=uplink.addresses)  # which are the station's to set
    links.check_port(profile, fixed, facts.switch(uplink.switch), facts)
    return (port, *lan.station(profile, uplink, facts, names.VETH_IF, mtu=port.mtu))
