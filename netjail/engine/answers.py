# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what a jail depends on answers: a tunnel's other end, a DHCP server; what it has lost.

The part of the engine that only looks, but for `follow`, which does what a lease says.
"""

from __future__ import annotations

import math
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence

from netjail.engine import borrowed, following, healing, record, wg
from netjail.engine.clientanswers import ClientAnswers
from netjail.engine.context import Context
from netjail.engine.liveness import Liveness, Look, Suspicion, doubt, judge
from netjail.engine.portanswers import PortAnswers
from netjail.engine.record import Record, Records
from netjail.engine.tunnels import Tunnels
from netjail.profile.model import Place, Profile
from netjail.uplinks.wanted import WireGuardDevice
from netjail.uplinks.wanted_ports import BorrowedPort

Progress = Callable[[str], None]


def _silent(_text: str) -> None:
    pass


class Answers(PortAnswers):
    """What `api.Engine` is besides."""

    _records: Records
    _clients: ClientAnswers
    tunnels: Tunnels

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._lent = {}
        self._traffic: dict[str, Liveness] = {}
        self._suspicions: dict[str, Suspicion] = {}
        self._asking: set[str] = set()
        self._good: dict[str, dict[str, str]] = {}
        """By profile and public key: the endpoint that answered last."""

    @abstractmethod
    def _context(self, found: Record, progress: Progress) -> Context:
        """For the drivers of a jail's resources."""

    def wait_answer(self, name: str, seconds: float, progress: Progress = _silent) -> bool | None:
        """Wait for the first handshake of a tunnel, or for an address by DHCP; then a moment for
        the provider's port. None where there is nothing to wait for."""
        answered = self._wait_tunnel(name, seconds, progress)
        if answered and seconds > 0:
            self._wait_lent(name, seconds, progress)
        return answered

    def _forget_answers(self, name: str) -> None:
        self._traffic.pop(name, None)
        self._lent.pop(name, None)
        self._clients.forget(name)

    def _wait_tunnel(self, name: str, seconds: float, progress: Progress) -> bool | None:
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
        return wg.wait_handshake(device, wg.userspace(found, device), found.since, seconds)

    def answering(self, name: str) -> bool | None:
        """Whether the tunnel's other end answers. None: nothing to judge by.

        WireGuard is silent when idle, so an old handshake alone means nothing: see `liveness`.
        """
        if self._clients.has(name):
            return self._clients.answering(name)
        found = self._records.get(name)
        if found is not None and following.client(found) is not None:
            return following.has_address(found)
        device = None if found is None else found.find(WireGuardDevice)
        if found is None or device is None:
            return None
        peers = wg.show(device, wg.userspace(found, device) is not None)
        newest = max((p.latest_handshake or 0 for p in peers), default=0)
        keepalives = [p.persistent_keepalive for p in peers if p.persistent_keepalive]
        look = Look(
            sum(p.sent for p in peers),
            sum(p.received for p in peers),
            time.time() - newest if newest else None,
            min(keepalives, default=None),
        )
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        with self._looking:
            self._traffic[name], answers = judge(self._traffic.get(name), look, now)
        if answers:
            self._good[name] = {p.public_key: p.endpoint for p in peers if p.endpoint is not None}
        return answers

    def doubt(self, name: str) -> None:
        """Something has happened that may have cut a tunnel: only what comes from now on is an
        answer."""
        with self._looking:
            before = doubt(self._traffic.get(name))
            if before is not None:
                self._traffic[name] = before

    def way(self, name: str) -> str | None:
        """See `healing.way`."""
        found = self._records.get(name)
        if found is None or found.state != record.UP:
            return None
        return healing.way(found, self.tunnels)

    def heal(self, name: str, profile: Profile, attempt: int, say: Progress) -> None:
        """See `healing.heal`."""
        found = self._records.get(name)
        if found is None or found.state != record.UP:
            return
        good = self._good.get(name, {})
        proven = healing.heal(
            found, profile, attempt, good, records=self._records, tunnels=self.tunnels, say=say
        )
        if proven:
            with self._looking:
                suspicion = self._suspicions.setdefault(name, Suspicion())
                suspicion.trusted, suspicion.until = True, -math.inf

    def due(self, name: str) -> float | None:
        """Seconds until a tunnel should be looked at again out of its turn, as it has traffic; 0.0:
        as it keeps silent, its server should be asked (`verify`). None: there is no need."""
        with self._looking:
            seen = self._traffic.get(name)
            suspicion = self._suspicions.setdefault(name, Suspicion())
            if seen is None or name in self._asking:
                return None
            return suspicion.due(seen, time.clock_gettime(time.CLOCK_BOOTTIME))

    def verify(self, name: str, profile: Profile) -> bool:
        """Whether a tunnel that is suspected answers, by asking its servers themselves. Where not,
        only what comes from now on is an answer."""
        found = self._records.get(name)
        with self._looking:
            if found is None or found.state != record.UP or name in self._asking:
                return True
            self._asking.add(name)
        try:
            answers = healing.verify(found, profile, self._good.get(name, {}))
        finally:
            self._asking.discard(name)
        with self._looking:
            suspicion = self._suspicions.setdefault(name, Suspicion())
            suspicion.asked(answers is not False, time.clock_gettime(time.CLOCK_BOOTTIME))
        if answers is False and self.answering(name) is not False:
            with self._looking:
                if self._traffic[name].waiting is None:
                    return True  # it has answered meanwhile
            self.doubt(name)
        return answers is not False

    def measure(
        self, profile: Profile, among: Sequence[Place], seconds: float
    ) -> dict[str, float] | None:
        """See `handshake.measure`."""
        from netjail.engine import handshake  # seldom needed

        return handshake.measure(profile, among, seconds)

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
        own = [borrowed.state_file(name)] if found and found.find(BorrowedPort) else []
        return own if found is None else own + following.sources(found)

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
