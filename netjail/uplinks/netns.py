# SPDX-License-Identifier: GPL-3.0-or-later
"""A network namespace that somebody else made: looked at, never changed."""

from __future__ import annotations

from netjail.profile.model import ForeignNetns, Profile
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Resource


def describe(profile: Profile, uplink: ForeignNetns, facts: Facts) -> tuple[Resource, ...]:
    """Nothing but the namespace itself, which stands in the place of one of ours."""
    del profile
    facts.require_netns(uplink.name)
    return ()
