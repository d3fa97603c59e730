# SPDX-License-Identifier: GPL-3.0-or-later
"""The tray itself: what is known, turned into icon, menu and notifications. One main loop, which
wakes only when something has happened."""

from __future__ import annotations

import signal
import time
from typing import Any

from gi.repository import GLib

from netjail.desktop import watch
from netjail.tray import autostart, menu, notices, session, sources
from netjail.tray.actions import Actions
from netjail.tray.helper import Helper
from netjail.tray.icon import Icon
from netjail.tray.menu import Action, Item
from netjail.tray.notices import Notice
from netjail.tray.notify import Notifier
from netjail.tray.session import Backend
from netjail.tray.state import Escaped, State, look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netjail.desktop.watch import Outside

WAIT_TOLD_SECONDS = 90
"""After so long without a tray somebody who waits for an icon is told why there is none."""


class Tray:
    """Raises NetjailError where it cannot be shown at all."""

    def __init__(self, wait: bool = False, first: str | None = None) -> None:
        self._session = session.bus()
        self._only = session.Only(self._session, self._asked)
        self._loop = GLib.MainLoop()
        self._wait = wait
        self._first = first
        self._icon: Icon | None = None
        self._items: tuple[Item, ...] = ()
        self._told: State | None = None
        self._due = 0
        self._waiting: session.Waiting | None = None
        self.busy: set[str] = set()
        self.asked: set[str] = set()
        self.checking: set[str] = set()
        self._outside: dict[Escaped, Outside] = {}
        self._ignored: set[tuple[int, tuple[int, ...]]] = set()
        self._looking = 0
        self._states: tuple[tuple[str, str], ...] = ()
        self._pinned: dict[str, list[Any]] = {}
        self._recent: list[Any] = []

    def run(self) -> str | None:
        """Show the icon until somebody quits. A sentence, where another tray shows it already."""
        if not self._only.claim():
            pid = self._only.tell(self._first or "show")
            return f"netjail is in the tray already (process {pid})"
        forced = session.forced()
        backend = forced or session.choose(session.look_around(self._session))
        if backend != session.BACKENDS[0] and self._wait and not forced:
            backend = None  # a panel that has just begun may come to have the best one
        if backend is None and not self._wait:
            raise session.no_tray(session.look_around(self._session))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, self._signalled)
        self._session.con.connect("closed", lambda *_: self.quit())
        self._notifier = Notifier(self._session, self._pressed)
        self.helper = Helper(self.changed)
        self._files = sources.Files(self._files_changed)
        self._read_files()
        self._actions = Actions(self, False)
        if backend is not None:
            self._show(backend)
        else:
            self._waiting = session.Waiting(self._session, self._show)
            GLib.timeout_add_seconds(WAIT_TOLD_SECONDS, self._still_waiting)
        self.helper.start()
        self._watch()
        if self._first is not None:
            self._asked(self._first)
        self._loop.run()
        if self._icon is not None:
            self._icon.close()
        return None

    # What happens ------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something has: tell what is worth it at once, draw a moment later what is left of it."""
        state = self._state()
        if state.helper == "here":
            if self._told is not None:
                for notice in notices.changes(self._told, state, self.busy | self.asked):
                    self._notifier.show(notice)
            self._told = notices.settled(self._told or state, state)
        if not self._due:
            self._due = GLib.idle_add(self._draw)

    def _state(self) -> State:
        return State(
            helper=self.helper.presence,
            trouble=self.helper.trouble,
            profiles=self.helper.profiles,
            pinned=self._pinned,
            recent=self._recent,
            escaped=tuple(self._outside),
            busy=frozenset(self.busy),
            checking=frozenset(self.checking),
            autostart=autostart.is_on(),
        )

    def _draw(self) -> bool:
        self._due = 0
        states = tuple((profile.name, profile.state) for profile in self.helper.profiles)
        if self._pinned and states != self._states:
            self._states = states
            self.look_outside()
        if self._icon is not None:
            state = self._state()
            items = menu.build(state, time.time())
            same = items == self._items
            self._items = items
            self._icon.update(look(state), menu.title(state), None if same else items)
        return False

    def _show(self, backend: Backend) -> None:
        self._waiting = None
        self._icon = Icon(backend, self._pressed, self._clicked)
        self._actions = Actions(self, windows=self._icon.has_menu)
        state = self._state()
        self._items = menu.build(state, time.time())
        self._icon.show(look(state), menu.title(state), self._items)

    def _still_waiting(self) -> bool:
        if self._icon is None:
            error = session.no_tray(session.look_around(self._session))
            self.tell(notices.failed("netjail waits for a tray", error.message, error.hint))
        return False

    def _files_changed(self) -> None:
        self._read_files()
        self._watch()

    def _read_files(self) -> None:
        self._pinned = sources.pinned()
        self._recent = sources.recent()

    def tell(self, notice: Notice) -> None:
        """Show a notification."""
        self._notifier.show(notice)

    # Pinned applications ------------------------------------------------------------------------

    def look_outside(self) -> None:
        """See which pinned applications run outside of their profiles."""
        found = sources.outside() if self._pinned else {}
        started = {each.pid: found[each].started for each in found}
        self._ignored &= set(started.items())
        self._outside = {
            each: what
            for each, what in found.items()
            if (each.pid, started[each.pid]) not in self._ignored
        }
        self.changed()

    def outside(self, pid: int) -> Outside | None:
        """What runs outside with that first process."""
        return next((what for each, what in self._outside.items() if each.pid == pid), None)

    def ignore(self, pid: int) -> None:
        """It may run outside, as long as it does."""
        found = self.outside(pid)
        if found is not None:
            self._ignored.add((pid, found.started))
            self.look_outside()

    def _watch(self) -> None:
        """Look now and then, as long as anything is pinned: nobody tells of new processes."""
        if self._pinned and not self._looking:
            self._looking = GLib.timeout_add_seconds(int(watch.INTERVAL), self._look_again)
        self.look_outside()

    def _look_again(self) -> bool:
        self.look_outside()
        if not self._pinned:
            self._looking = 0
        return bool(self._pinned)

    # What is asked -----------------------------------------------------------------------------

    def _pressed(self, action: Action) -> None:
        self._actions.press(action)

    def _clicked(self) -> bool:
        """On an icon that has no menu: what the menu would say first."""
        state = self._state()
        lines = [each.label for each in menu.build(state, time.time()) if each.children]
        text = "\n".join(lines) or "There are no profiles yet."
        buttons = (("Stop all", ("down-all",)), ("Quit", ("quit",)))
        self.tell(Notice("summary", "netjail", text, "low", buttons))
        return False

    def _asked(self, what: str) -> None:
        """By another `netjail tray`, or by our own options."""
        if what in ("import", "down-all"):
            self._pressed((what,))
        else:
            self._clicked()

    def _signalled(self) -> bool:
        self.quit()
        return True

    def quit(self) -> None:
        self._loop.quit()


def main(wait: bool, first: str | None) -> str | None:
    """See Tray.run."""
    return Tray(wait, first).run()
