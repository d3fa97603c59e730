# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of the VPN provider's, where the profile wants one."""

from __future__ import annotations

from netjail import names
from netjail.profile.model import Profile
from netjail.uplinks.wanted_ports import BorrowedPort


def describe(profile: Profile) -> tuple[BorrowedPort, ...]:
    """None where the profile does not ask for it."""
    wanted = profile.natpmp
    if wanted is None:
        return ()
    gateway = "" if wanted.gateway is None else str(wanted.gateway)
    netns = names.netns_name(profile.name)
    return (BorrowedPort(profile.name, netns, gateway, wanted.port or 0),)
