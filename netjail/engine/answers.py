# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a jail depends on answers: a tunnel's other end, a DHCP server; what it has lost.

The part of the engine that only looks, but for `follow`, which does what a lease says.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable

from netjail.engine import following, record, wg
from netjail.engine.clientanswers import ClientAnswers
from netjail.engine.context import Context
from netjail.engine.record import Record, Records
from netjail.uplinks.wanted import WireGuardDevice

Progress = Callable[[str], None]


def _silent(_text: str) -> None:
    pass


class Answers:
    """What `api.Engine` is besides."""

    _records: Records
    _traffic: dict[str, tuple[int, int]]
    _clients: ClientAnswers

    @abstractmethod
    def _context(self, found: Record, progress: Progress) -> Context:
        """For the drivers of a jail's resources."""

    def wait_answer(self, name: str, seconds: float, progress: Progress = _silent) -> bool | None:
        """Wait for the first handshake of a tunnel, or for an address by DHCP. None where there is
        nothing to wait for."""
        if self._clients.has(name):
            return self._clients.wait(name, seconds, progress)
        found = self._records.get(name)
        if found is not None and following.client(found) is not None:
            progress("waiting for an address by DHCP")
            return following.wait(found, seconds)
        device = None if found is None else found.find(WireGuardDevice)
        if found is None or device is None:
            return None
        progress("waiting for the tunnel's first handshake")
        return wg.wait_handshake(device, found.process(wg.USERSPACE), found.since, seconds)

    def answering(self, name: str) -> bool | None:
        """Whether the tunnel's other end answers. None: nothing to judge by.

        WireGuard is silent when idle, so an old handshake alone means nothing; it is one with
        bytes sent since the last look and none received that tells.
        """
        if self._clients.has(name):
            return self._clients.answering(name)
        found = self._records.get(name)
        if found is not None and following.client(found) is not None:
            return following.has_address(found)
        device = None if found is None else found.find(WireGuardDevice)
        if found is None or device is None:
            return None
        peers = wg.show(device, found.process(wg.USERSPACE) is not None)
        newest = max((p.latest_handshake or 0 for p in peers), default=0)
        sent, received = sum(p.sent for p in peers), sum(p.received for p in peers)
        before = self._traffic.get(name)
        self._traffic[name] = (sent, received)
        if newest and time.time() - newest < 180:
            return True
        if not newest:
            return False if sent else None
        if before is None or (sent, received) == before:
            return None
        return received != before[1]

    def silence(self, name: str) -> str:
        """What it is that does not answer, as the begin of a sentence."""
        found = self._records.get(name)
        by_dhcp = found is not None and following.client(found) is not None
        return "no DHCP server has given an address" if by_dhcp else "the tunnel does not answer"

    def listen(self, changed: Callable[[str], None]) -> None:
        """Have it told, on whatever thread, when a VPN client's condition has changed."""
        self._clients.listen(changed)

    def trouble(self, name: str) -> tuple[str, str] | None:
        """Why a VPN's client is not connected, where it says so: ("failed", reason) where somebody
        has to do something about it, else ("degraded", reason)."""
        return self._clients.trouble(name)

    def lost(self, name: str) -> str | None:
        """What a jail has lost that it stood on, as a sentence; None: nothing that is known."""
        found = self._records.get(name)
        if found is None or found.state != record.UP:
            return None
        return following.lost(found, self._context(found, _silent))

    def follows(self, name: str) -> list[str]:
        """Files that grow when there is something to `follow`."""
        found = self._records.get(name)
        return [] if found is None else following.sources(found)

    def follow(self, name: str) -> bool:
        """Take up what the jail's DHCP clients have to say. Whether anything has changed. An
        operation on the profile, as `up` is."""
        found = self._records.get(name)
        if found is None or found.state != record.UP:
            return False
        new = following.follow(found)
        if new is None:
            return False
        self._records.save(new)
        return True
