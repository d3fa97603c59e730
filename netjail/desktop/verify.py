# SPDX-License-Identifier: GPL-3.0-or-later
"""After a launch: whether the window that comes up belongs to a process in the jail.

A process beside the program looks for a while, and says something only if it escaped. It is
nobody's child, so that a program started in place sees no stranger among its own, and it ends soon
after the program does.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time

from netjail.desktop import running
from netjail.desktop.catalogue import App

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from netjail.desktop.windows import Display

SECONDS = 20.0
"""How long to look: a browser on a slow disk takes that to its first window."""
STEP = 0.5
SETTLE = 0.4
"""After the program has ended: its window elsewhere may still be on its way."""


def watch(
    app: App, profile: str, words: list[str], flatpak: str = "", detached: bool = False
) -> None:
    """Begin to look at what `words` start. `detached`: our end does not mean the program's."""
    launcher = -1 if detached else os.pidfd_open(os.getpid())
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        if launcher >= 0:
            os.close(launcher)
        return
    status = 1
    try:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)  # whoever reads what the program prints must not wait for us
            found = Watch(app, profile, words, flatpak).run(launcher)
            if found is not None:
                _say(found, profile)
        status = 0
    finally:
        os._exit(status)


class Watch:
    """`run` gives a sentence about what escaped, or None."""

    def __init__(self, app: App, profile: str, words: list[str], flatpak: str = "") -> None:
        self._app = app
        self._says = _said(app, words)
        self._profile = profile
        self._flatpak = flatpak
        self._display: Display | None = None
        self._before: frozenset[int] = frozenset()
        try:
            from netjail.desktop import windows

            self._display = windows.Display()
            self._before = frozenset(self._display.windows())
        except OSError:
            pass

    def run(self, launcher: int, seconds: float = SECONDS) -> str | None:
        """Look until a window came up inside, something escaped, the program ended, or time is
        over. `launcher`: pidfd of whoever lives as long as the program; -1: nobody."""
        end = time.monotonic() + seconds
        watched = [launcher] if launcher >= 0 else []
        while time.monotonic() < end:
            ended = bool(select.select(watched, [], [], STEP)[0])
            if ended:
                time.sleep(SETTLE)
            seen = self._look()
            if seen is not None:
                return seen or None
            if ended:
                return self._handed_over()
        return None

    def _look(self) -> str | None:
        """A sentence about a new window elsewhere; "": there is one inside; None: none yet."""
        if self._display is None:
            return None
        jail = running.jail(self._profile)
        inside = False
        for window, pid in self._display.windows().items():
            if window in self._before or pid is None:
                continue
            process = running.process(pid, os.getuid())
            if process is None or not self._is_app(process) or process.net is None:
                continue
            if process.net != jail:
                return self._sentence(process)
            inside = True
        return "" if inside else None

    def _is_app(self, process: running.Process) -> bool:
        if self._app.processes.isdisjoint(process.names):
            return False
        return process.flatpak == self._flatpak

    def _handed_over(self) -> str | None:
        """The program has ended already: if a copy with the same data runs elsewhere and none
        inside, that one got the job."""
        jail = running.jail(self._profile)
        copies = running.copies(self._app, running.processes(), self._flatpak)
        same = [process for process in copies if _said(self._app, process.argv) == self._says]
        if not same or any(process.net == jail for process in same):
            return None
        return self._sentence(same[0])

    def _sentence(self, process: running.Process) -> str:
        return (
            f"{self._app.name} has opened {running.place(process.net)}, not in {self._profile}: "
            f"process {process.pid} got the job"
        )


def _said(app: App, words: Sequence[str]) -> tuple[str, ...]:
    """What a command line says of the copy it means: those words, each with the one behind it."""
    found: list[str] = []
    for number, word in enumerate(words):
        if app.says_own([word]):
            found += [word] if "=" in word else words[number : number + 2]
    return tuple(found)


def _say(text: str, profile: str) -> None:
    """On stderr, and where nobody sees that, as a notification."""
    hint = f"Close that one, or start one apart: netjail run --apart {profile} ..."
    sys.stderr.write(f"netjail: warning: {text}\n  {hint}\n")
    sys.stderr.flush()
    if not sys.stderr.isatty():
        notify = shutil.which("notify-send")
        if notify is not None:
            words = [notify, "--app-name=netjail", "--icon=netjail", "Outside of the jail", text]
            subprocess.run(words, check=False, timeout=5, stderr=subprocess.DEVNULL)
