# SPDX-License-Identifier: GPL-3.0-or-later
"""An event loop over epoll(7): descriptors with what they wait for, and a tick now and then."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

TICK_SECONDS = 2.0


class Loop:
    """One thread's. A handler that raises is a bug, and ends the program: it is started again."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._interest: dict[int, int] = {}
        self.ticks: list[Callable[[float], None]] = []
        """Called every TICK_SECONDS with the time of the monotonic clock."""

    def watch(self, fd: int, handler: Callable[[int], None], events: int) -> None:
        """Have `handler` called with what is ready; `events` 0: with nothing, not even an end."""
        before = self._interest.get(fd, 0)
        if events:
            self._handlers[fd] = handler
        if events == before:
            return
        if not before:
            self._epoll.register(fd, events)
        elif events:
            self._epoll.modify(fd, events)
        else:
            self._epoll.unregister(fd)
            self._handlers.pop(fd, None)
        self._interest[fd] = events

    def forget(self, fd: int) -> None:
        """Before a descriptor is closed."""
        if self._interest.pop(fd, 0):
            self._epoll.unregister(fd)
        self._handlers.pop(fd, None)

    def run(self) -> None:
        """For ever."""
        last = time.monotonic()
        while True:
            for fd, events in self._epoll.poll(TICK_SECONDS):
                handler = self._handlers.get(fd)
                if handler is not None:  # else one before it in this round has closed it
                    handler(events)
            now = time.monotonic()
            if now - last >= TICK_SECONDS:
                last = now
                for tick in self.ticks:
                    tick(now)
