# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for news of a profile's port of the provider's (`netjail port watch`), and the answer.

Nobody is ever run by us on such news: whoever wants something done waits here, and does it himself,
with his own rights. All on the main loop's thread; files are read by workers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from netjail.daemon import log
from netjail.daemon.loop import Loop, Timer
from netjail.daemon.rooms import Rooms
from netjail.daemon.workers import Workers

WAIT_MAX = 25.0
"""Seconds that a question for what comes next is left open."""
WAITING_MAX = 64
"""Such questions at a time; further ones are answered at once."""

Answer = Callable[[dict[str, Any]], None]


class Lending:
    """The waiting of all profiles."""

    def __init__(self, loop: Loop, rooms: Rooms, workers: Workers) -> None:
        self._loop = loop
        self._rooms = rooms
        self._workers = workers
        self._waiting: dict[int, tuple[str, str, Answer, Timer]] = {}
        self._serial = 0
        self._ended = False
        self.listener: Callable[[str], None] = lambda _name: None
        """Told of each profile of which there may be news."""

    def ask(self, profile: str, known: str, wait: float, answer: Answer) -> None:
        """Answer with {profile, lent, known}: at once if what is known is not `known`, else when
        it changes, or when time is up."""
        if wait <= 0 or self._ended or len(self._waiting) >= WAITING_MAX:
            self._look(profile, answer)
            return
        self._serial += 1
        number = self._serial
        timer = self._loop.call_later(min(wait, WAIT_MAX), partial(self._tell, number))
        self._waiting[number] = (profile, known, answer, timer)
        self._compare(profile)

    def changed(self, name: str) -> None:
        """There may be news of a profile."""
        self.listener(name)
        self._compare(name)

    def stop(self) -> None:
        """Leave no question open. Nothing known means: ask the next helper."""
        self._ended = True
        for number, (name, *_) in list(self._waiting.items()):
            self._tell(number, {"profile": name, "lent": None, "known": ""})

    def _compare(self, name: str) -> None:
        """Answer those who know something else than what is."""
        if not any(whose == name for whose, *_ in self._waiting.values()):
            return

        def compare(result: dict[str, Any]) -> None:
            for number, (whose, known, *_) in list(self._waiting.items()):
                if whose == name and known != result["known"]:
                    self._tell(number, result)

        self._look(name, compare)

    def _tell(self, number: int, result: dict[str, Any] | None = None) -> None:
        found = self._waiting.pop(number, None)
        if found is None:
            return
        name, _, answer, timer = found
        timer.cancel()
        if result is not None:
            answer(result)
        else:
            self._look(name, answer)

    def _look(self, name: str, then: Answer) -> None:
        def look() -> None:
            try:
                result = state(self._rooms, name)
            except Exception:
                log.crash(f"while looking at the provider's port of {name}")
                result = {"profile": name, "lent": None, "known": ""}
            self._loop.call_soon(partial(then, result))

        self._workers.run(look)


def state(rooms: Rooms, profile: str) -> dict[str, Any]:
    """{profile, lent, known}: what the provider lends, or null, and a text that tells one state
    from another."""
    lent = rooms.engine.lent(profile)
    data = None if lent is None else lent.as_dict()
    return {"profile": profile, "lent": data, "known": json.dumps(data, sort_keys=True)}
