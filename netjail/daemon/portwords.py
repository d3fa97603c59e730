# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports in requests and answers."""

from __future__ import annotations

from typing import Any

from netjail.daemon.rooms import LivePort, Rooms
from netjail.daemon.state import Registry
from netjail.errors import NetjailError
from netjail.profile.model import Port


def read(words: dict[str, Any]) -> Port:
    """A port from a request. Raises NetjailError("usage")."""
    from netjail.profile import checks, ports  # seldom asked for

    try:
        return ports.from_words(words)
    except checks.Bad as bad:
        meant = f"; did you mean {bad.meant}?" if bad.meant else ""
        shown = checks.show(words["to"] if words["to"] is not None else words["listen"])
        raise NetjailError("usage", f"this is no port: {shown} {bad.why}{meant}") from None


def harmless(port: Port) -> bool:
    """Whether any user may have such a port, who could do the same with a program of his own."""
    from netjail.profile import portchecks

    return portchecks.harmless(port, max(portchecks.LOWEST, _lowest()))


def _lowest() -> int:
    """From which port on no right is needed to listen; an administrator may have moved it."""
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def row_of(port: Port, live: LivePort | None) -> dict[str, Any]:
    return {
        "way": port.way,
        "protocol": port.protocol,
        "listen": port.listen,
        "to": port.to,
        "name": port.name,
        "open": live is not None and live.connections is not None,
        "connections": live.connections if live is not None else None,
        "served": live.served if live is not None else None,
        "added": live.added if live is not None else False,
    }


def listing(rooms: Rooms, registry: Registry, profile: str) -> dict[str, Any]:
    """{profile, state, ports, lent}: of a jail that is up those that it has, else those of its
    file; `lent`: the port that the provider lends, null where none is asked for."""
    entry = registry.get(profile)
    live = rooms.engine.ports(profile) if entry.live else None
    if live is not None:
        rows = [row_of(each.port, each) for each in live]
    else:
        rows = [row_of(port, None) for port in rooms.store.load(profile).ports]
    lent = rooms.engine.lent(profile) if live is not None else None
    found = None if lent is None else lent.as_dict()
    return {"profile": profile, "state": entry.state, "ports": rows, "lent": found}
