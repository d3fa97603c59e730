# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line is waiting for: one updating line on stderr, only on a terminal.

Drawn from a timer signal rather than from a thread: nothing to import, nothing left running
when the process becomes the application (the timer is disarmed before, since exec keeps it).
"""

from __future__ import annotations

import os
import signal
import time

from netjail.cli.output import Stream, clean, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

DELAY = 1.0
"""Seconds before anything is shown."""
_INTERVAL = 0.1

_FRAMES = ("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\")


class Progress:
    """A context in which `show` says what is being waited for."""

    def __init__(self, stream: Stream, message: str, environ: Any = os.environ) -> None:
        self._stream = stream
        self._message = message
        self._enabled = stream.terminal and environ.get("TERM", "dumb") != "dumb"
        self._frames = _FRAMES[0 if stream.unicode else 1]
        self._began = 0.0
        self._count = 0
        self._drawn = False
        self._previous: Any = None

    def show(self, message: str) -> None:
        """What is being waited for from now on."""
        self._message = message

    def __enter__(self) -> Progress:
        if self._enabled:
            self._began = time.monotonic()
            self._stream.flush()
            try:
                self._previous = signal.signal(signal.SIGALRM, self._tick)
                signal.setitimer(signal.ITIMER_REAL, DELAY, _INTERVAL)
            except ValueError:  # not the main thread: then without
                self._enabled = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._enabled:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._previous or signal.SIG_DFL)
        if self._drawn:
            self._write("\r\033[K")
            self._drawn = False

    def pause(self, begins: bool) -> None:
        """Leave the terminal to somebody else (`begins`), or take it up again."""
        if not self._enabled:
            return
        signal.setitimer(signal.ITIMER_REAL, 0 if begins else DELAY, 0 if begins else _INTERVAL)
        if begins and self._drawn:
            self._write("\r\033[K")
            self._drawn = False

    def _tick(self, _number: int, _frame: object) -> None:
        self._drawn = True
        self._write("\r\033[K" + self.text(time.monotonic() - self._began))

    def text(self, seconds: float) -> str:
        """The line as it stands after `seconds`."""
        self._count += 1
        frame = self._frames[self._count % len(self._frames)]
        line = f"{frame} {clean(self._message)} ({int(seconds)} s)"
        # one column less than there are: a line that fills the last one may wrap
        return cut(line, max(1, (self._stream.width or 80) - 1), self._stream.ellipsis)

    def _write(self, text: str) -> None:
        # past the buffer: this may run in the middle of one of its own writes
        try:
            encoding = self._stream.stream.encoding or "ascii"
            os.write(self._stream.stream.fileno(), text.encode(encoding, "replace"))
        except (OSError, ValueError):
            pass
