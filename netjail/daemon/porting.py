# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of profiles: which there are, and changes while a jail is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from netjail.daemon.call import Call, Result
from netjail.daemon.keeper import Keeper
from netjail.daemon.log import info
from netjail.daemon.portwords import read, row_of
from netjail.daemon.rooms import Rooms
from netjail.daemon.state import Registry
from netjail.daemon.workers import Turn
from netjail.errors import NetjailError
from netjail.profile.model import Port


class Porting:
    """What `manager.Manager` is besides."""

    _rooms: Rooms
    _keeper: Keeper
    registry: Registry
    _in_turn: Callable[[Call, Sequence[str], Callable[[Turn], Result]], None]
    _finish: Callable[[Call, Result], None]

    def _begin_port_add(self, call: Call, profile: str, **words: Any) -> None:
        def add(_turn: Turn) -> Result:
            from netjail.profile import ports

            port = read(words)
            self._must_be_up(profile)
            standing = [each.port for each in self._rooms.engine.ports(profile) or ()]
            taken = next((each for each in standing if ports.clash(each, port)), None)
            if taken is not None and taken.to == port.to and ports.key(taken) == ports.key(port):
                return {"profile": profile, "port": row_of(taken, None), "changed": False}
            if taken is not None:
                raise NetjailError(
                    "conflict",
                    f"profile {profile} has {taken.protocol} {taken.listen} already, which leads "
                    f"to {taken.to}",
                    f"netjail port remove {profile} {taken.listen}",
                )
            self._change(profile, add=[port])
            info(f"{profile}: {port.way} {port.protocol} {port.listen} to {port.to}")
            return {"profile": profile, "port": row_of(port, None), "changed": True}

        self._in_turn(call, [profile], add)

    def _begin_port_remove(self, call: Call, profile: str, **words: Any) -> None:
        def remove(_turn: Turn) -> Result:
            self._must_be_up(profile)
            doomed = self._matching(profile, words)
            self._change(profile, remove=doomed)
            for port in doomed:
                info(f"{profile}: no longer {port.way} {port.protocol} {port.listen}")
            return {"profile": profile, "removed": [row_of(port, None) for port in doomed]}

        self._in_turn(call, [profile], remove)

    def _begin_port_lent(self, call: Call, profile: str, known: str, wait: float) -> None:
        self._keeper.lending.ask(profile, known, wait, partial(self._finish, call))

    def lent_changed(self, listener: Callable[[str], None]) -> None:
        """Have it told of which profile the provider's port may be another."""
        self._keeper.lending.listener = listener

    def _must_be_up(self, profile: str) -> None:
        if not self.registry.get(profile).usable:
            raise NetjailError(
                "not-up",
                f"profile {profile} is not up; ports can be changed while it is",
                f"netjail up {profile}; or for good: netjail profile edit {profile}",
            )

    def _matching(self, profile: str, words: dict[str, Any]) -> list[Port]:
        wanted = read({**words, "to": None, "name": "", "way": "forward"}).listen
        standing = [each.port for each in self._rooms.engine.ports(profile) or ()]
        found = [
            port
            for port in standing
            if port.listen == wanted
            and port.protocol == words["protocol"]
            and words["way"] in (None, port.way)
        ]
        if len(found) == 1:
            return found
        if not found:
            listed = ", ".join(f"{port.protocol} {port.listen}" for port in standing)
            raise NetjailError(
                "usage",
                f"profile {profile} has no port {words['protocol']} {wanted}",
                f"it has: {listed}" if standing else f"netjail port list {profile}",
            )
        raise NetjailError(
            "usage",
            f"profile {profile} both forwards and exposes {words['protocol']} {wanted}",
            "say which: --forward or --expose",
        )

    def _change(self, profile: str, add: Sequence[Port] = (), remove: Sequence[Port] = ()) -> None:
        processes = self._rooms.engine.change_ports(profile, add, remove)
        self.registry.note(profile, processes=tuple(processes))
        self._keeper.jail_up(profile, processes)
