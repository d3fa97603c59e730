# SPDX-License-Identifier: GPL-3.0-or-later
"""An interface of the host, moved into the jail and given back."""

from __future__ import annotations

from netjail import names
from netjail.errors import NetjailError
from netjail.profile.model import Device, Profile
from netjail.uplinks import lan
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Resource
from netjail.uplinks.wanted_lan import HostDevice


def describe(profile: Profile, uplink: Device, facts: Facts) -> tuple[Resource, ...]:
    """The interface under its own name. Refused when the host would be cut off by it."""
    found = facts.device(uplink.device)
    if found.only_way_out and not uplink.cut_off_host:
        raise NetjailError(
            "conflict",
            f"{uplink.device} is the host's only way out: with it in the jail the host itself has "
            "no network",
            "connect the host in another way first, or say cut_off_host = true in [uplink] "
            f"(netjail profile edit {profile.name})",
        )
    if found.phy is not None:
        facts.require_program("iw")
    mtu = uplink.mtu or found.mtu
    device = HostDevice(
        profile=profile.name,
        netns=names.netns_name(profile.name),
        device=uplink.device,
        index=found.index,
        phy=found.phy,
        mtu=mtu,
        host_mtu=found.mtu,
        up=found.up,
        addresses=found.addresses,
        routes=found.routes,
    )
    return (device, *lan.station(profile, uplink, facts, uplink.device, mtu=mtu))
