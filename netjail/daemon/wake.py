# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices that the computer has slept, with or without logind, and without ever polling.

A timerfd on CLOCK_REALTIME that is set with TFD_TIMER_CANCEL_ON_SET becomes readable when that
clock jumps, which it does at a resume (timerfd_create(2); the kernel's timerfd_resume). How far
CLOCK_BOOTTIME, which goes on in a sleep, has left CLOCK_MONOTONIC behind, which does not, tells a
sleep from somebody who sets the clock. Where the system bus has logind its PrepareForSleep says
the same.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import time
from collections.abc import Callable

from netjail.daemon import log
from netjail.daemon.loop import READ, Loop

ASLEEP_LEAST = 2.0
"""Seconds: what was shorter did no harm."""
ONCE_SECONDS = 5.0
"""Between what the clock and what logind say of the same sleep."""
_FAR = 1 << 40
"""Seconds; the timer itself is never to fire."""
_TFD_TIMER_ABSTIME, _TFD_TIMER_CANCEL_ON_SET = 1, 2


def asleep_so_far() -> float:
    """Seconds that the computer has slept since it was started."""
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot - time.clock_gettime(time.CLOCK_MONOTONIC)


class _Itimerspec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


class Wake:
    """Tells once for each sleep."""

    def __init__(
        self, loop: Loop, woken: Callable[[float], None], clock: Callable[[], float] = asleep_so_far
    ) -> None:
        """`woken(seconds asleep)` is called on the loop's thread."""
        self._loop = loop
        self._woken = woken
        self._clock = clock
        self._before = clock()
        self._told = -math.inf
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or not self._arm():
            log.warning("cannot notice that the computer sleeps where there is no logind")
            return
        loop.add(self._fd, READ, self._jumped)

    def close(self) -> None:
        """Watch no longer."""
        if self._fd >= 0:
            self._loop.remove(self._fd)
            os.close(self._fd)
            self._fd = -1

    def look(self) -> None:
        """Tell if it has slept since it was told last."""
        now = self._clock()
        asleep, self._before = now - self._before, now
        if asleep >= ASLEEP_LEAST:
            self._told = time.monotonic()
            self._woken(asleep)

    def sleeping(self, begins: bool) -> None:
        """logind says that a sleep begins or is over. What follows from its end is done whatever
        the clocks say, once."""
        if begins:
            return
        self.look()
        if time.monotonic() - self._told >= ONCE_SECONDS:
            self._told = time.monotonic()
            self._woken(0.0)

    def _arm(self) -> bool:
        never = _Itimerspec(0, 0, _FAR, 0)
        flags = _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET
        return bool(self._libc.timerfd_settime(self._fd, flags, ctypes.byref(never), None) == 0)

    def _jumped(self, _events: int) -> None:
        try:
            os.read(self._fd, 8)
        except OSError as error:
            if error.errno not in (errno.ECANCELED, errno.EAGAIN):
                raise
        self._arm()
        self.look()
