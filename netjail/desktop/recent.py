# SPDX-License-Identifier: GPL-3.0-or-later
"""What was started in which profile lately, for menus. In $XDG_STATE_HOME/netjail/recent.json."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass

from netjail import names
from netjail.desktop import places
from netjail.errors import NetjailError

KEPT = 20


@dataclass(frozen=True, slots=True)
class Recent:
    """`when`: seconds since the epoch."""

    entry_id: str
    profile: str
    when: float


def recent(profile: str | None = None) -> list[Recent]:
    """The latest first, each application once per profile. What cannot be read is forgotten."""
    try:
        data = places.read(_path())
        found = json.loads(data) if data is not None else []
        items = [Recent(str(e["entry"]), str(e["profile"]), float(e["when"])) for e in found]
    except (NetjailError, ValueError, TypeError, KeyError, RecursionError):
        return []
    good = [
        each
        for each in items
        if names.valid_name(each.profile)
        and each.entry_id.endswith(".desktop")
        and "/" not in each.entry_id
        and profile in (None, each.profile)
    ]
    return sorted(good, key=lambda each: -each.when)[:KEPT]


def note_recent(entry_id: str, profile: str) -> None:
    """It was started just now. A directory that cannot be written is no reason to complain."""
    try:
        directory = os.path.dirname(_path())
        with places.locked(directory):
            others = [e for e in recent() if (e.entry_id, e.profile) != (entry_id, profile)]
            kept = [Recent(entry_id, profile, time.time()), *others][:KEPT]
            items = [{"entry": e.entry_id, "profile": e.profile, "when": e.when} for e in kept]
            places.write(_path(), json.dumps(items).encode() + b"\n", mode=0o600)
    except NetjailError:
        pass


def _path() -> str:
    return os.path.join(places.state_home(), "netjail", "recent.json")
