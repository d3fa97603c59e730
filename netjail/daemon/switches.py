# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches as the helper tells of them and keeps their files. Runs in worker threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netjail.daemon.rooms import Rooms
from netjail.errors import NetjailError
from netjail.profile.model import Profile

Profiles = Callable[[], dict[str, Profile | NetjailError]]


class Switches:
    def __init__(self, rooms: Rooms, profiles: Profiles) -> None:
        """`profiles`: all that are stored."""
        self._rooms = rooms
        self._profiles = profiles

    def list_all(self) -> dict[str, Any]:
        rows = []
        stored = set(self._rooms.switches.names())
        for name in sorted(stored | set(self._rooms.engine.switches())):
            live = self._rooms.engine.switch_status(name)
            row: dict[str, Any] = {
                "name": name,
                "description": "",
                "engine": None if live is None else live["engine"],
                "state": "down" if live is None else "up",
                "reason": None,
                "ports": 0 if live is None else len(live["ports"]),
            }
            try:
                switch = self._rooms.switches.load(name)
                row |= {"description": switch.description, "engine": row["engine"] or switch.engine}
            except NetjailError as error:
                row["reason"] = str(error)
            rows.append(row)
        return {"switches": rows}

    def status(self, switch: str) -> dict[str, Any]:
        live = self._rooms.engine.switch_status(switch)
        try:
            stored = self._rooms.switches.load(switch)
        except NetjailError:
            if live is None:
                raise
            stored = None  # its file is gone or broken; the switch is not
        status: dict[str, Any] = {
            "name": switch,
            "description": "" if stored is None else stored.description,
            "engine": None if stored is None else stored.engine,
            "state": "down" if live is None else "up",
            "netns": None,
            "datapath": None,
            "host": None if stored is None else stored.host,
            "isolated": None if stored is None else stored.isolated,
            "vlan": None if stored is None else stored.vlan,
            "uplink": None if stored is None else stored.uplink,
            "host_interface": None,
            "host_addresses": []
            if stored is None
            else [str(address) for address in stored.host_addresses],
            "ports": [],
            "macs": [],
            "neighbours": [],
            "leases": [],
            "members": self._members(switch),
            "processes": [],
        }
        return {"switch": status | (live or {})}

    def _members(self, switch: str) -> list[str]:
        """The stored profiles that have a link to it."""
        return [
            name
            for name, profile in self._profiles().items()
            if isinstance(profile, Profile) and any(link.switch == switch for link in profile.links)
        ]

    def get(self, name: str) -> dict[str, Any]:
        return {"name": name, "text": self._rooms.switches.read_text(name)}

    def check(self, name: str, text: str) -> dict[str, Any]:
        _, warnings = self._rooms.switches.parse(name, text)
        return {"warnings": list(warnings)}

    def add(self, name: str, text: str, replace: bool) -> dict[str, Any]:
        _, warnings = self._rooms.switches.parse(name, text)
        self._rooms.switches.save(name, text, replace)
        if name in self._rooms.engine.switches():
            warnings = [
                *warnings,
                f"switch {name} is up as it was: the new text takes effect at the next `netjail "
                "up` of a profile on it",
            ]
        return {"switch": name, "warnings": list(warnings)}

    def remove(self, name: str) -> dict[str, Any]:
        live = self._rooms.engine.switch_status(name)
        if live is not None:
            users = list(dict.fromkeys(p["profile"] for p in live["ports"] if p["profile"]))
            raise NetjailError(
                "in-use",
                f"switch {name} is up: {', '.join(users[:5]) or 'somebody'}"
                f"{' and others' if len(users) > 5 else ''} "
                f"{'is' if len(users) == 1 else 'are'} on it",
                f"netjail down {' '.join(users[:5])}",
            )
        self._rooms.switches.remove(name)
        return {"members": self._members(name)}
