# SPDX-License-Identifier: GPL-3.0-or-later
"""Heals connections: asks whether tunnels answer, and helps those that may not.

A *case* is opened for a profile where something may have cut it: the host's way to its server has
changed or gone, the computer has slept, the other end is silent. While it is open the profile is
asked often, and helped (`engine.heal`) at once and again after pauses that grow up to PAUSE_MOST.
It is closed by an answer. Nothing here touches a namespace or what runs in it.

Lives on the main loop's thread; whatever blocks it hands to workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from netjail.daemon import log
from netjail.daemon.journal import Journal
from netjail.daemon.loop import Loop, Timer
from netjail.daemon.rooms import Rooms
from netjail.daemon.state import Registry, State
from netjail.daemon.workers import Workers
from netjail.errors import NetjailError

ANSWER_SECONDS = 5.0
"""Between two looks at all tunnels;"""
ANSWER_SECONDS_MANY, MANY = 15.0, 20
"""where there are MANY of them;"""
ANSWER_SECONDS_CASE = 1.0
"""and at one that has a case."""
ANSWER_GRACE = 10
"""Seconds for which a fresh tunnel may be silent before it is called so."""
PAUSE_FIRST, PAUSE_MOST = 2.0, 15.0
"""Seconds between the first two helps, and at most; doubled each time in between."""
PATIENT_SECONDS, PAUSE_LATE = 300.0, 60.0
"""A case that is older is given more time between two."""
_NOWHERE = ""
_NO_WAY = "the host's own network leads nowhere just now; nothing can leave until it does"


@dataclass
class _Case:
    begun: float
    attempt: int = 0
    busy: bool = False
    again: bool = False
    timer: Timer | None = None
    asked: Timer | None = None


class Healer:
    def __init__(
        self,
        loop: Loop,
        workers: Workers,
        rooms: Rooms,
        registry: Registry,
        lost: Callable[[str], None],
    ) -> None:
        """`lost(name)`: a jail has lost what it stands on, and has to be repaired."""
        self._loop = loop
        self._workers = workers
        self._rooms = rooms
        self._registry = registry
        self._lost = lost
        self.journal = Journal(loop)
        self._cases: dict[str, _Case] = {}
        self._ways: dict[str, str | None] = {}
        self._looks: dict[str, Timer] = {}
        self._poll: Timer | None = None
        self._ended = False

    def stop(self) -> None:
        """Ask and help no more."""
        self._ended = True
        for name in list(self._cases):
            self._close(name)
        for each in self._looks.values():
            each.cancel()
        if self._poll is not None:
            self._poll.cancel()
        self.journal.stop()

    def watch(self, name: str) -> None:
        """A jail is up, or was mended."""
        self._ask_later()

        def note() -> None:
            self._note_way(name)

        self._workers.run(note)

    def gone(self, name: str) -> None:
        """It is up no more."""
        self._close(name)
        self._ways.pop(name, None)
        if (look := self._looks.pop(name, None)) is not None:
            look.cancel()

    # Whether they answer -----------------------------------------------------------------------

    def _ask_later(self) -> None:
        if self._poll is None and not self._ended:
            many = len(self._registry.live()) >= MANY
            pause = ANSWER_SECONDS_MANY if many else ANSWER_SECONDS
            self._poll = self._loop.call_later(pause, partial(self._workers.run, self._ask_all))

    def _ask_all(self) -> None:
        try:
            for entry in self._registry.live():
                if entry.usable and entry.tunnel is not False and not self._ended:
                    self.ask(entry.name)
        finally:
            self._loop.call_soon(self._asked)

    def _asked(self) -> None:
        self._poll = None
        if self._registry.live():
            self._ask_later()

    def ask(self, name: str) -> None:
        """See whether a profile answers. In a worker."""
        engine = self._rooms.engine
        try:
            lost = engine.lost(name)
            if lost is not None and self._registry.move(
                name, "failed", lost, only_from=("up", "degraded")
            ):
                log.warning(f"{name}: {lost}")
                self._loop.call_soon(partial(self._lost, name))
                return
            answering = engine.answering(name)
            suspected = answering is not False and self._suspect(name)
            answering = False if suspected else answering
            trouble = None if answering is not False else engine.trouble(name)
            silent = f"{engine.silence(name)}; nothing can leave until that changes"
        except NetjailError as error:
            log.debug(f"{name}: cannot tell whether the tunnel answers: {error}")
            return
        entry = self._registry.get(name)
        if answering is None:
            return  # no tunnel, or an idle one: nothing to judge by
        if trouble is not None:
            state, why = trouble
            self._trouble(name, "failed" if state == "failed" else "degraded", why)
        elif answering:
            if self._registry.move(name, "up", only_from=("degraded",)):
                log.info(f"{name}: answered again")
            self._loop.call_soon(partial(self._answered, name))
        elif (
            suspected
            or entry.state == "degraded"
            or time.time() - (entry.since or 0) > ANSWER_GRACE
        ):
            if entry.state == "up" and self._registry.move(
                name, "degraded", silent, only_from=("up",)
            ):
                log.warning(f"{name}: {silent}")
            self._loop.call_soon(partial(self._silent, name))

    def _suspect(self, name: str) -> bool:
        """Whether a tunnel that is silent for some seconds, less than would prove anything, does
        not answer when it is asked itself either. In a worker."""
        engine = self._rooms.engine
        left = engine.due(name)
        if left is None or name in self._cases:
            return False
        if left > 0:
            if len(self._registry.live()) < MANY:
                self._loop.call_soon(partial(self._look_again, name, left))
            return False
        profile = self._registry.get(name).profile or self._rooms.store.load(name)
        return not engine.verify(name, profile)

    def _look_again(self, name: str, seconds: float) -> None:
        look = self._looks.get(name)
        if self._ended or (look is not None and look.active) or not self._registry.get(name).usable:
            return
        again = partial(self._workers.run, partial(self.ask, name))
        self._looks[name] = self._loop.call_later(seconds, again)

    def _trouble(self, name: str, state: State, why: str) -> None:
        reason = (
            f"{why}; nothing can leave until this is settled"
            if state == "failed"
            else f"{why}; nothing can leave until it answers"
        )
        before = self._registry.get(name)
        if self._registry.move(name, state, reason, only_from=("up", "degraded")) and (
            before.state != state
        ):
            log.warning(f"{name}: {reason}")

    def _answered(self, name: str) -> None:
        case = self._cases.get(name)
        if case is None or case.busy:
            return
        if self._registry.get(name).state == "up":
            self.journal.say(name, f"the other end answers, {_ago(time.monotonic() - case.begun)}")
        self._close(name)

    def _silent(self, name: str) -> None:
        if name not in self._cases:
            # Its way is as before, as far as is known: begin with the second kind of help.
            self._open(name, 1)

    # What may have cut them --------------------------------------------------------------------

    def host_changed(self) -> None:
        """The host's networks have changed. In a worker."""
        for entry in self._registry.live():
            if entry.usable and entry.tunnel is not False and not self._ended:
                before = self._ways.get(entry.name)
                now = self._note_way(entry.name)
                if now is None or now == before:
                    continue
                if now == _NOWHERE:
                    self.journal.say(entry.name, f"the host has lost its way out ({before})")
                elif before is not None:
                    self.journal.say(entry.name, f"the host's way out has changed: {now}")
                self._loop.call_soon(partial(self._open, entry.name, 0))

    def _note_way(self, name: str) -> str | None:
        try:
            now = self._rooms.engine.way(name)
        except NetjailError as error:
            log.debug(f"{name}: cannot tell which way its packets leave: {error}")
            return self._ways.get(name)
        if self._registry.get(name).live:
            self._ways[name] = now
        return now

    def woken(self, seconds: float) -> None:
        """The computer has slept."""
        for entry in self._registry.live():
            if entry.usable:
                asleep = f" for {_span(seconds)}" if seconds else ""
                self.journal.say(entry.name, f"the computer has slept{asleep}")
                self._open(entry.name, 0)

    # Cases -------------------------------------------------------------------------------------

    def _open(self, name: str, attempt: int) -> None:
        if self._ended or not self._registry.get(name).usable:
            return
        case = self._cases.setdefault(name, _Case(time.monotonic()))
        case.attempt = attempt
        if case.timer is not None:
            case.timer.cancel()
        self._help(name)

    def _close(self, name: str) -> None:
        case = self._cases.pop(name, None)
        for timer in () if case is None else (case.timer, case.asked):
            if timer is not None:
                timer.cancel()

    def _help(self, name: str) -> None:
        case = self._cases.get(name)
        if case is None or self._ended:
            return
        if case.busy:
            case.again = True
            return
        case.busy = True
        self._workers.run(partial(self._help_now, name, case, case.attempt))

    def _help_now(self, name: str, case: _Case, attempt: int) -> None:
        judged = False
        try:
            judged = self._try(name, attempt)
        except NetjailError as error:
            self.journal.say(name, f"it could not be helped: {error}")
        except Exception:
            log.crash(f"while helping {name}")
        self._loop.call_soon(partial(self._helped, name, case, judged))

    def _try(self, name: str, attempt: int) -> bool:
        """Whether there is anything to wait for."""
        engine = self._rooms.engine
        way = self._note_way(name)
        answering = engine.answering(name)
        if way is None and answering is None:
            return False
        if attempt == 0:
            engine.doubt(name)
        if way == _NOWHERE and self._registry.move(name, "degraded", _NO_WAY, only_from=("up",)):
            log.warning(f"{name}: {_NO_WAY}")
        wanted = self._registry.get(name).profile or self._rooms.store.load(name)
        engine.heal(name, wanted, attempt, partial(self.journal.say, name))
        return True

    def _helped(self, name: str, case: _Case, judged: bool) -> None:
        case.busy = False
        if self._cases.get(name) is not case:
            return
        if not judged:
            self._close(name)
            return
        if case.again:
            case.again = False
            self._help(name)
            return
        case.attempt += 1
        pause = min(PAUSE_FIRST * 2.0 ** min(case.attempt - 1, 9), PAUSE_MOST)
        if time.monotonic() - case.begun > PATIENT_SECONDS:
            pause = max(pause, PAUSE_LATE)
        case.timer = self._loop.call_later(pause, partial(self._help, name))
        if case.asked is None:
            self._ask_case(name, case)

    def _ask_case(self, name: str, case: _Case) -> None:
        """Ask until it is closed."""
        if self._cases.get(name) is not case or self._ended:
            return
        if not self._registry.get(name).usable:
            self._close(name)
            return

        def ask() -> None:
            self.ask(name)
            self._loop.call_soon(later)

        def later() -> None:
            pause = ANSWER_SECONDS_CASE
            case.asked = self._loop.call_later(pause, partial(self._ask_case, name, case))

        self._workers.run(ask)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _ago(seconds: float) -> str:
    return f"after {_span(seconds)}" if seconds >= 1 else "at once"
