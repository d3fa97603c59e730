# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the other end of a WireGuard tunnel answers, by what the interface has counted. Pure.

WireGuard is silent when idle, so silence alone means nothing. But whoever is sent something
answers within KEEPALIVE_TIMEOUT (10 s), if only by an empty packet: after 15 s without any the
protocol itself takes the session for dead (WireGuard's paper, 6.5). Only what the other end has
signed is counted as received, so nothing that a network between says can pass for an answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

SILENT_SECONDS = 15.0
"""KEEPALIVE_TIMEOUT + REKEY_TIMEOUT."""
SUSPICIOUS_SECONDS = 3.0
"""After which it is worth asking the other end itself: an answer to what was sent takes a tenth of
that, unless the traffic goes one way only."""
LIVELY_SECONDS = 2.0
"""Between two looks at what is being sent something."""
AGAIN_SECONDS, AGAIN_MOST = 15.0, 960.0
"""After a suspicion that was wrong; doubled, up to a limit, each time that the next one is wrong
too: the tunnel has traffic that nobody answers."""
STRANGER_SECONDS = 60.0
"""After one of a server that is not known to answer questions of ours at all."""
SESSION_SECONDS = 180.0
"""REJECT_AFTER_TIME: an older handshake carries nothing any more."""
_SOON = 0.1
"""Seconds that are not worth waiting for."""
_KEEPALIVE = 32
"""Bytes of a packet that wants no answer."""


@dataclass(frozen=True, slots=True)
class Look:
    """What an interface has counted: bytes; `age` of the newest handshake in seconds (None: there
    was none); `keepalive`: seconds between two packets that are sent unasked."""

    sent: int
    received: int
    age: float | None
    keepalive: int | None = None


@dataclass(frozen=True, slots=True)
class Liveness:
    """What follows from all looks so far. `waiting`: since when (clock of `at`) something has been
    sent that nothing came back for. `doubted`: only something received counts as an answer."""

    look: Look
    at: float
    waiting: float | None = None
    doubted: bool = False
    lively: bool = False
    """Whether something has been sent since the look before."""


def doubt(before: Liveness | None) -> Liveness | None:
    """Something has happened that may have cut the tunnel: what came before counts no more."""
    return None if before is None else replace(before, doubted=True, waiting=None)


def judge(before: Liveness | None, look: Look, at: float) -> tuple[Liveness, bool | None]:
    """The new state, and whether the other end answers; None: nothing to judge by."""
    if look.age is None:
        return Liveness(look, at), False if look.sent else None
    if before is None or look.received < before.look.received or look.sent < before.look.sent:
        fresh = look.age < SESSION_SECONDS  # the first look, or another interface since
        return Liveness(look, at), True if fresh else None
    if look.received > before.look.received:
        return Liveness(look, at, lively=look.sent > before.look.sent), True
    waiting = before.waiting
    if waiting is None and look.sent - before.look.sent > _unasked(look, at - before.at):
        waiting = at
    silent = waiting is not None and at - waiting >= SILENT_SECONDS
    doubted = before.doubted or silent
    now = Liveness(look, at, waiting, doubted)
    if silent:
        return now, False
    return now, True if look.age < SESSION_SECONDS and not doubted else None


@dataclass(slots=True)
class Suspicion:
    """How often a tunnel is suspected. Times as those of looks."""

    until: float = -math.inf
    pause: float = AGAIN_SECONDS
    trusted: bool = False
    """Whether it is known to answer questions of ours, so that no answer means something."""

    def due(self, now: Liveness, at: float) -> float | None:
        """Seconds until a tunnel should be looked at again because of what it is sent; 0.0: it
        should be asked itself; None: not before its turn comes."""
        if at < self.until:
            return None
        if now.waiting is not None:
            left = now.waiting + SUSPICIOUS_SECONDS - at
            return left if left > _SOON else 0.0
        return LIVELY_SECONDS if now.lively else None

    def asked(self, answers: bool, at: float) -> None:
        """It was asked."""
        self.trusted = self.trusted or answers
        if answers:
            self.until, self.pause = at + self.pause, min(self.pause * 2, AGAIN_MOST)
        else:
            self.until = at if self.trusted else at + STRANGER_SECONDS
            self.pause = AGAIN_SECONDS


def _unasked(look: Look, seconds: float) -> float:
    """Bytes that were sent at most without anybody's wanting something."""
    if look.keepalive is None:
        return 0
    return _KEEPALIVE * (1 + seconds / look.keepalive)
