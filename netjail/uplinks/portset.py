# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of a profile: those of its file, with what was added and removed since it is up."""

from __future__ import annotations

from netjail import names
from netjail.profile import ports
from netjail.profile.model import ForeignNetns, Profile
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted_ports import PortSet


def describe(profile: Profile, facts: Facts) -> tuple[PortSet, ...]:
    """None where there are no ports."""
    added, removed = facts.port_changes(profile.name)
    gone = {ports.key(port) for port in (*removed, *added)}
    kept = [port for port in profile.ports if ports.key(port) not in gone]
    wanted = (*kept, *(port for port in added if not any(ports.clash(port, k) for k in kept)))
    if not wanted:
        return ()
    foreign = profile.uplink if isinstance(profile.uplink, ForeignNetns) else None
    netns = foreign.name if foreign else names.netns_name(profile.name)
    return (PortSet(profile.name, netns, wanted),)
