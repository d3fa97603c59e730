# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the servers of VPN clients answer, and what follows from what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable

from netjail.engine import borrowed, vpn
from netjail.engine.record import Records
from netjail.engine.tunnels import Session, Tunnels
from netjail.errors import NetjailError
from netjail.uplinks.facts import Told
from netjail.uplinks.login import needed
from netjail.uplinks.wanted import VpnClient


class ClientAnswers:
    """Of all VPN clients of a helper."""

    def __init__(self, records: Records, tunnels: Tunnels) -> None:
        self._records = records
        self._tunnels = tunnels
        tunnels.heard = self._heard

    def forget(self, name: str) -> None:
        """The jail is gone."""
        self._tunnels.forget(name)

    def listen(self, changed: Callable[[str], None]) -> None:
        """Have it told when a client's condition has changed."""
        self._tunnels.changed = changed

    def has(self, name: str) -> bool:
        """Whether a profile's tunnel is a client's."""
        return self._tunnels.session(name) is not None

    def wait(self, name: str, seconds: float, progress: Callable[[str], None]) -> bool:
        """Until it is connected; False: it is not within `seconds`. Raises credentials-needed and
        credentials-refused."""
        session = self._tunnels.session(name)
        progress("waiting for the VPN's server")
        return session is not None and _wait_session(name, session, seconds)

    def answering(self, name: str) -> bool:
        """Whether it is connected."""
        session = self._tunnels.session(name)
        return session is not None and session.condition().state == "connected"

    def trouble(self, name: str) -> tuple[str, str] | None:
        """Why a client is not connected, and what state of the profile that is."""
        session = self._tunnels.session(name)
        condition = None if session is None else session.condition()
        if condition is None or condition.reason is None or condition.state == "connected":
            return None
        asking = condition.state in ("asking", "refused")
        return "failed" if asking else "degraded", condition.reason

    def _heard(self, wanted: VpnClient, told: Told, session: Session) -> None:
        """On a session's thread: the server has said what the jail's network is to be."""
        name = wanted.profile
        with self._tunnels.busy(name):
            found = self._records.get(name)
            if found is None or self._tunnels.session(name) is not session:
                return  # it is going down, or another client serves it by now
            try:
                vpn.apply_told(wanted, told)
                self._records.save(vpn.resolvers(found, wanted, told))
                borrowed.poke(found)
            except (NetjailError, OSError) as error:
                print(f"{name}: what its server said cannot be applied: {error}", file=sys.stderr)


def _wait_session(name: str, session: Session, seconds: float) -> bool:
    condition = session.wait(seconds)
    if condition.state == "asking":
        raise needed(name, condition.asks, condition.reason)
    if condition.state == "refused":
        raise NetjailError(
            "credentials-refused",
            f"profile {name} is not connected: {condition.reason}",
            f"netjail up {name} asks again; what is kept in the profile: "
            f"netjail profile edit {name}",
        )
    return condition.state == "connected"
