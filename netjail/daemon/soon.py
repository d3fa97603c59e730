# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done ahead for a client that has said which profile it is about to want a program in:
a process is made (see `Spawning.spare`), and polkit is asked, without a word to any person.

Nothing is granted by it. A request that comes within a moment, of the same client and with the same
needs, is spared the second question; any other one is judged as if this had not been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from netjail.daemon import authorise
from netjail.daemon.authorise import Cancel, Gate, Need, Peer, Verdict
from netjail.daemon.spawning import Child
from netjail.errors import NetjailError

if TYPE_CHECKING:
    from netjail.daemon.call import Call

FRESH_SECONDS = 0.25
"""For so long an answer that came before the request holds."""


class Asked:
    """A question that was asked before the request was there."""

    def __init__(self, gate: Gate, peer: Peer, needs: Sequence[Need]) -> None:
        self._gate = gate
        self._peer = peer
        self._needs = tuple(needs)
        self._granted: bool | None = None
        self._at = 0.0
        self._then: Callable[[], None] | None = None
        self._used = False
        self._cancel = authorise.authorise(gate, peer, needs, False, self._answered)

    def _answered(self, error: NetjailError | None) -> None:
        self._granted, self._at = error is None, time.monotonic()
        if self._then is not None:
            self._then()

    def drop(self) -> None:
        """Nobody wants to know."""
        if self._granted is None and not self._used:
            self._cancel()

    def authorise(self, needs: Sequence[Need], interactive: bool, verdict: Verdict) -> Cancel:
        """As `authorise.authorise`, of the same peer."""
        stale = self._granted is not None and time.monotonic() - self._at > FRESH_SECONDS
        if self._used or stale or self._granted is False or tuple(needs) != self._needs:
            return authorise.authorise(self._gate, self._peer, needs, interactive, verdict)
        self._used = True
        if self._granted:
            verdict(None)
            return _nothing
        cancel: list[Cancel] = [self._cancel]

        def then() -> None:
            if self._granted:
                verdict(None)
            else:  # now with whoever may be asked for a password, and for the reason
                cancel[0] = authorise.authorise(self._gate, self._peer, needs, interactive, verdict)

        self._then = then

        def take_back() -> None:
            cancel[0]()

        return take_back


class Soon:
    """Both, for one connection."""

    def __init__(self, child: Child | None, asked: Asked) -> None:
        self.child = child
        self.asked = asked

    def drop(self) -> None:
        """The client has gone."""
        if self.child is not None:
            self.child.drop()
        self.asked.drop()


def judge(gate: Gate, call: Call, needs: Sequence[Need], verdict: Verdict) -> Cancel:
    """Whether the caller may; as `authorise.authorise`."""
    if call.asked is not None:
        return call.asked.authorise(needs, call.interactive, verdict)
    return authorise.authorise(gate, call.peer, needs, call.interactive, verdict)


def _nothing() -> None:
    pass
