# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings up, once after each boot, the profiles that ask for it (`autostart = true`).

The network may be late, and names of servers not resolve yet: what fails is tried again, until it
is up, or somebody has taken it into their own hands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from netjail import names
from netjail.daemon import log
from netjail.daemon.authorise import Peer
from netjail.daemon.loop import Loop
from netjail.daemon.rooms import Rooms
from netjail.daemon.state import Registry
from netjail.daemon.workers import Workers
from netjail.errors import NetjailError

MARK = f"{names.RUN_DIR}/booted"
"""Stands from the helper's first start to the next boot: /run is empty then."""
PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds before the second try, the third, ...; the last of them for all that follow."""
_FINAL = frozenset({"no-such-profile", "invalid-profile", "credentials-needed", "ending"})
"""Codes of errors that do not go away by themselves."""


class _Manager(Protocol):
    @property
    def registry(self) -> Registry: ...
    @property
    def workers(self) -> Workers: ...
    def call(
        self,
        peer: Peer,
        method: str,
        params: dict[str, Any],
        progress: Callable[[str], None],
        reply: Callable[[dict[str, Any] | NetjailError], None],
    ) -> object: ...


class Autostart:
    """On the main loop's thread."""

    def __init__(self, loop: Loop, manager: _Manager, rooms: Rooms, mark: str = MARK) -> None:
        self._loop = loop
        self._manager = manager
        self._rooms = rooms
        self._mark = mark

    def begin(self) -> None:
        """To be called when what stood before is adopted."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        try:
            os.close(os.open(self._mark, flags, 0o600))
        except FileExistsError:
            return  # a later helper of the same boot
        except OSError as error:
            log.warning(f"profiles are not started: {self._mark}: {error.strerror}")
            return
        self._manager.workers.run(self._look)

    def _look(self) -> None:
        for name in self._rooms.store.names():
            if self._asks(name):
                self._loop.call_soon(partial(self._up, name, 0))

    def _asks(self, name: str) -> bool:
        try:
            return self._rooms.store.load(name).autostart
        except NetjailError as error:
            log.warning(f"{name}: whether it is to be started cannot be read: {error}")
            return False

    def _up(self, name: str, attempt: int) -> None:
        entry = self._manager.registry.get(name)
        if entry.live or entry.ups:
            return  # it is, or has been up: somebody else has it in hand
        self._manager.call(
            Peer(0, 0, os.getpid()),
            "up",
            {"profile": name, "wait": 0},
            lambda _text: None,
            partial(self._done, name, attempt),
        )

    def _done(self, name: str, attempt: int, outcome: dict[str, Any] | NetjailError) -> None:
        if not isinstance(outcome, NetjailError):
            log.info(f"{name}: started, as it asks to be at boot")
            return
        final = outcome.code in _FINAL
        log.warning(f"{name}: not started{'' if final else ' yet'}: {outcome}")
        if final:
            return
        pause = PAUSES[min(attempt, len(PAUSES) - 1)]
        self._loop.call_later(pause, partial(self._again, name, attempt + 1))

    def _again(self, name: str, attempt: int) -> None:
        def look() -> None:
            if self._asks(name):
                self._loop.call_soon(partial(self._up, name, attempt))

        self._manager.workers.run(look)
