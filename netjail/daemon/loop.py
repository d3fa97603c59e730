# SPDX-License-Identifier: GPL-3.0-or-later
"""A small main loop over epoll: descriptors, timers, signals, calls from other threads.

Everything it waits for is behind one epoll descriptor (`fileno`) and one deadline (`timeout`), so
that another main loop can carry it as a single source: poll `fileno()` for at most `timeout()`
milliseconds, then `dispatch()`.

Callbacks run on the thread that dispatches and must not block. One that raises is a bug: it is
logged, and the loop goes on.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from netjail.daemon import log

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANGUP = select.EPOLLHUP | select.EPOLLERR


class Timer:
    """A call to come; `cancel` may be called at any time, also from the call itself."""

    __slots__ = ("_call", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self._call = None

    @property
    def active(self) -> bool:
        """Whether the call is still to come."""
        return self._call is not None

    def _fire(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._serial = 0
        self._soon: deque[Callable[[], None]] = deque()
        self._waking = False
        self._running = False
        self._signals: dict[int, Callable[[], None]] = {}
        self._signal_pipe: tuple[int, int] | None = None
        self.add(self._wake, READ, self._woken)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def add(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler(events)` whenever the descriptor is ready (level-triggered)."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def modify(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """To be called before the descriptor is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(time.monotonic() + seconds, call)
        self._serial += 1  # keeps equal times in order, and timers out of comparisons
        heapq.heappush(self._timers, (timer.when, self._serial, timer))
        return timer

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run `call` on the loop's thread; may be called from any thread."""
        self._soon.append(call)
        self._awake()

    def _awake(self) -> None:
        # Once is enough: a loop that is on its way takes what was queued meanwhile along.
        if self._wake >= 0 and not self._waking:
            self._waking = True
            os.eventfd_write(self._wake, 1)

    def on_signal(self, number: int, call: Callable[[], None]) -> None:
        """Run `call` on the loop when the signal arrives. From the process's main thread only."""
        if self._signal_pipe is None:
            # A pipe and not the eventfd: Python writes one byte, an eventfd wants eight. And not
            # the handler alone: a signal just before epoll_wait(2) would sleep until it returns.
            self._signal_pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            signal.set_wakeup_fd(self._signal_pipe[1], warn_on_full_buffer=False)
            self.add(self._signal_pipe[0], READ, self._signalled)
        self._signals[number] = call
        signal.signal(number, lambda _number, _frame: None)

    def timeout(self) -> int:
        """Milliseconds until the next timer, rounded up; -1 if there is none."""
        while self._timers and not self._timers[0][2].active:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1
        left = self._timers[0][0] - time.monotonic()
        return max(0, int(left * 1000) + 1) if left > 0 else 0

    def dispatch(self, timeout: int = 0) -> None:
        """Handle what is ready; wait up to `timeout` milliseconds (-1: for ever) if nothing is."""
        try:
            ready = self._epoll.poll(timeout / 1000 if timeout >= 0 else None)
        except InterruptedError:
            ready = []
        for fd, events in ready:
            # An earlier handler of this round may have removed this one.
            handler = self._handlers.get(fd)
            if handler is not None:
                self._guard(partial(handler, events))
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            self._guard(timer._fire)

    def run(self, turn: Callable[[], object] | None = None) -> None:
        """Dispatch until `stop`; by `turn`, where another loop carries this one."""
        self._running = True
        while self._running:
            if turn is not None:
                turn()
            else:
                self.dispatch(self.timeout())

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        if self._signal_pipe is not None:
            signal.set_wakeup_fd(-1)
            for fd in self._signal_pipe:
                os.close(fd)
        wake, self._wake = self._wake, -1
        os.close(wake)
        self._epoll.close()

    def _woken(self, _events: int) -> None:
        os.eventfd_read(self._wake)
        self._waking = False  # before the look at what there is
        # Only what is there now: a call that queues another must not starve the descriptors.
        for _ in range(len(self._soon)):
            self._guard(self._soon.popleft())
        if self._soon:
            self._awake()

    def _signalled(self, _events: int) -> None:
        assert self._signal_pipe is not None
        for number in os.read(self._signal_pipe[0], 512):
            call = self._signals.get(number)
            if call is not None:
                call()

    @staticmethod
    def _guard(call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            log.crash("in the main loop")
