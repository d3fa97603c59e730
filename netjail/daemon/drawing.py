# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture of all networks needs, in one answer. Runs in worker threads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from netjail.daemon.rooms import Rooms
from netjail.errors import NetjailError
from netjail.profile.model import Profile, WireGuard


def networks(
    rooms: Rooms, rows: Sequence[Mapping[str, Any]], profiles: Mapping[str, Any]
) -> dict[str, Any]:
    """The result of `graph`. `rows`: that of `list`; `profiles`: all that are stored or up."""
    return {
        "host": {"name": os.uname().nodename},
        "profiles": [_profile(row, profiles.get(row["name"])) for row in rows],
        "switches": _switches(rooms),
    }


def _profile(row: Mapping[str, Any], profile: object) -> dict[str, Any]:
    found = {key: row[key] for key in ("name", "description", "kind", "state", "programs")}
    known = profile if isinstance(profile, Profile) else None
    return {
        **found,
        "through": known.through if known is not None else None,
        "endpoint": _endpoint(known),
        "uplink_switch": getattr(known.uplink, "switch", None) if known is not None else None,
        "links": [
            {
                "name": link.name,
                "peer": link.peer,
                "switch": link.switch,
                "addresses": ["dhcp"]
                if link.addresses == "dhcp"
                else [str(address) for address in link.static],
            }
            for link in (known.links if known is not None else ())
        ],
    }


def _endpoint(profile: Profile | None) -> str | None:
    """Where a tunnel leads to."""
    if profile is None or not isinstance(profile.uplink, WireGuard):
        return None
    return next((str(p.endpoint) for p in profile.uplink.peers if p.endpoint), None)


def _switches(rooms: Rooms) -> list[dict[str, Any]]:
    from netjail.profile.switch import Switch  # late: the socket need not wait for it

    live = set(rooms.engine.switches())
    found = []
    for name in sorted({*rooms.switches.names(), *live}):
        try:
            switch = rooms.switches.load(name)
        except NetjailError:
            switch = Switch(name)  # not valid, or its file is gone: there it is nevertheless
        dhcp = switch.dhcp
        found.append(
            {
                "name": name,
                "description": switch.description,
                "state": "up" if name in live else "down",
                "engine": switch.engine,
                "host": switch.host,
                "host_addresses": [str(address) for address in switch.host_addresses],
                "isolated": switch.isolated,
                "uplink": switch.uplink,
                "dhcp": None if dhcp is None else f"{dhcp.ranges[0][0]}-{dhcp.ranges[0][1]}",
            }
        )
    return found


def trim(result: dict[str, Any], seen: frozenset[str]) -> dict[str, Any]:
    """For somebody who may know of these profiles only; neither what leads to others."""
    profiles = []
    for row in result["profiles"]:
        if row["name"] not in seen:
            continue
        links = [link for link in row["links"] if link["peer"] is None or link["peer"] in seen]
        through = row["through"] if row["through"] in seen else None
        profiles.append({**row, "links": links, "through": through})
    return {**result, "profiles": profiles}
