# SPDX-License-Identifier: GPL-3.0-or-later
"""AnyConnect and its relatives."""

from __future__ import annotations

from netjail.errors import NetjailError
from netjail.profile.model import OpenConnect, Profile
from netjail.uplinks.facts import Facts
from netjail.uplinks.wanted import Resource


def describe(profile: Profile, uplink: OpenConnect, facts: Facts) -> tuple[Resource, ...]:
    del profile, uplink, facts
    raise NetjailError("not-yet", "OpenConnect is not there yet in this version of netjail")
