# SPDX-License-Identifier: GPL-3.0-or-later
"""A manager over fake rooms, with the main loop driven by the test."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fake_engine import FakeRooms

from netjail.daemon.authorise import Peer
from netjail.daemon.loop import Loop
from netjail.daemon.manager import Call, Manager
from netjail.errors import NetjailError

ROOT = Peer(uid=0, gid=0, pid=1)


def turn_until(loop: Loop, ready: Callable[[], bool], seconds: float = 10) -> None:
    """Run the loop until `ready`."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it does not come"
        timeout = loop.timeout()
        loop.dispatch(50 if timeout < 0 else min(50, timeout))


class Asked:
    """A call that was made, and what came of it."""

    def __init__(self, call_soon: Loop) -> None:
        self.loop = call_soon
        self.said: list[str] = []
        self.outcome: Any = None
        self.call: Call | None = None

    @property
    def done(self) -> bool:
        return self.outcome is not None

    @property
    def result(self) -> dict[str, Any]:
        turn_until(self.loop, lambda: self.done)
        if isinstance(self.outcome, NetjailError):
            raise self.outcome
        return self.outcome

    @property
    def error(self) -> NetjailError:
        turn_until(self.loop, lambda: self.done)
        assert isinstance(self.outcome, NetjailError), self.outcome
        return self.outcome


class Stage:
    def __init__(self) -> None:
        self.loop = Loop()
        self.rooms = FakeRooms()
        self.engine = self.rooms.engine
        self.store = self.rooms.store
        self.manager = Manager(self.loop, self.rooms)
        self.changes: list[tuple[str, str]] = []
        self.manager.listen(lambda entry: self.changes.append((entry.name, entry.state)))

    def start(self) -> None:
        self.manager.start()
        self.until(lambda: self.manager._held is None)

    def ask(self, method: str, peer: Peer = ROOT, **params: Any) -> Asked:
        asked = Asked(self.loop)

        def reply(outcome: Any) -> None:
            assert asked.outcome is None, "answered twice"
            asked.outcome = outcome

        asked.call = self.manager.call(peer, method, params, asked.said.append, reply)
        return asked

    def until(self, ready: Callable[[], bool], seconds: float = 10) -> None:
        turn_until(self.loop, ready, seconds)

    def state(self, name: str) -> str:
        return self.manager.registry.get(name).state

    def logged(self, *what: str) -> list[tuple[str, str]]:
        return [entry for entry in self.engine.log if entry[0] in what]
