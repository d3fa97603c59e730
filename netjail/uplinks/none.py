# SPDX-License-Identifier: GPL-3.0-or-later
"""No uplink: loopback only."""

from __future__ import annotations

from netjail.profile.model import NoUplink, Profile
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Resource


def describe(profile: Profile, uplink: NoUplink, facts: Facts) -> tuple[Resource, ...]:
    """Nothing but the namespace, which every jail has."""
    del profile, uplink, facts
    return ()
