# SPDX-License-Identifier: GPL-3.0-or-later
"""Fail-over: a pool whose place stays silent goes on in another one, in the same jail.

It follows the states that others find: `degraded` for PATIENCE seconds, in which the healer may
help, starts a round; a round that finds nobody is followed by another after a pause that doubles.
Lives on the main loop's thread; what blocks is done in workers, within the profile's turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from netjail.daemon import log
from netjail.daemon.loop import Loop, Timer
from netjail.daemon.pools import Pools
from netjail.daemon.state import Entry, Registry
from netjail.daemon.workers import Turn, Turns
from netjail.errors import NetjailError
from netjail.profile import places
from netjail.profile.model import OpenVpn, Profile, WireGuard

PATIENCE = 10.0
"""Seconds of silence before the first round, besides those it took to notice."""
PAUSE_FIRST, PAUSE_MOST = 30.0, 600.0
"""Seconds after a round that did not help, and at most; doubled each time in between."""
ROUNDS_MOST = 12
"""Rounds without an answer, after which it is left to the user (and the healer)."""
SETTLED = 300.0
"""Seconds of answers after which what was tried is forgotten."""

Say = Callable[[str, str], None]


@dataclass
class _Case:
    tried: list[str] = field(default_factory=list)
    rounds: int = 0
    next: Timer | None = None  # round
    settled: Timer | None = None

    def cancel(self) -> None:
        """Neither is due any more."""
        for timer in (self.next, self.settled):
            if timer is not None:
                timer.cancel()


class Failover:
    def __init__(
        self, loop: Loop, turns: Turns, registry: Registry, pools: Pools, say: Say
    ) -> None:
        """`say(profile, text)`: for the profile's journal."""
        self._loop = loop
        self._turns = turns
        self._registry = registry
        self._pools = pools
        self._say = say
        self._cases: dict[str, _Case] = {}
        self._ended = False

    def stop(self) -> None:
        """Change nothing any more."""
        self._ended = True
        for case in self._cases.values():
            case.cancel()

    def changed(self, entry: Entry) -> None:
        """A profile has another state or reason."""
        name, case = entry.name, self._cases.get(entry.name)
        if entry.state == "degraded" and _wants(entry):
            if case is None:
                case = self._cases[name] = _Case()
            if case.settled is not None:
                case.settled.cancel()
            if case.next is None or not case.next.active:
                self._later(name, case, _pause(case.rounds))
        elif entry.state == "up" and case is not None:
            case.cancel()
            case.settled = self._loop.call_later(SETTLED, partial(self._settled, name))
        elif not entry.live and case is not None:
            case.cancel()
            del self._cases[name]

    def _settled(self, name: str) -> None:
        if self._registry.get(name).state == "up":
            self._cases.pop(name, None)

    def _later(self, name: str, case: _Case, seconds: float) -> None:
        if not self._ended and case.rounds < ROUNDS_MOST:
            if case.next is not None:
                case.next.cancel()  # the reason that a round gave was a change, too
            case.next = self._loop.call_later(seconds, partial(self._round, name))

    def _round(self, name: str) -> None:
        case = self._cases.get(name)
        if case is None or self._ended or self._registry.get(name).state != "degraded":
            return

        def job(turn: Turn) -> None:
            entry = self._registry.get(name)
            if self._ended or entry.state != "degraded":
                return
            profile = entry.profile or self._pools.profile(name)
            if not _wants(entry, profile):
                return
            before = places.current(profile)
            case.rounds += 1
            if before is not None and before not in case.tried:
                case.tried.append(before)
            text = "no other place has been found either"
            try:
                chosen = self._pools.change(turn, name, case.tried, partial(self._say, name))
                if chosen is not None:
                    log.info(f"{name}: {before} does not answer; now in {chosen}")
                    self._tell(name, before, chosen)
                    text = ""
            except NetjailError as error:
                text = str(error)
            except Exception:
                log.crash(f"while {name} looked for another place")
                text = "a bug in netjail; see the helper's log"
            self._loop.call_soon(partial(self._done, name, before, text))

        self._turns.submit([name], job)

    def _tell(self, name: str, before: str | None, chosen: str) -> None:
        changed = f"changed from {before}, which did not answer, to {chosen}"
        if not self._registry.move(name, "up", changed, only_from=("up",)):
            text = f"{changed}; nothing can leave until that answers"
            self._registry.move(name, "degraded", text, only_from=("degraded",))

    def _done(self, name: str, before: str | None, text: str) -> None:
        case = self._cases.get(name)
        if case is None:
            return
        pause = _pause(case.rounds)
        if text:
            last = case.rounds >= ROUNDS_MOST
            then = "netjail use chooses another" if last else f"tried again in {pause:g} s"
            reason = f"{before} does not answer, and {text}; nothing can leave; {then}"
            self._registry.move(name, "degraded", reason, only_from=("degraded",))
            self._say(name, reason)
        if self._registry.get(name).state == "degraded":
            self._later(name, case, pause)


def _wants(entry: Entry, profile: Profile | None = None) -> bool:
    """Also where it is not known yet what a profile is, after a restart of the helper."""
    known = profile or entry.profile
    if known is None:
        return entry.tunnel is not False
    uplink = known.uplink
    return isinstance(uplink, WireGuard | OpenVpn) and uplink.failover and len(uplink.places) > 1


def _pause(rounds: int) -> float:
    return PATIENCE if not rounds else min(PAUSE_FIRST * 2.0 ** (rounds - 1), PAUSE_MOST)
