# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tray asks of `desktop`: the applications there are, the pinned ones, the recent ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

from gi.repository import Gio, GLib

from netjail.desktop import entries, pins
from netjail.errors import NetjailError
from netjail.tray.state import App

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netjail.desktop.entries import Entry

RECENT_MAX = 8
END_SECONDS = 20
"""For so long an application may ask its user what to do with unsaved work."""


def applications() -> list[Entry]:
    """What menus show, by name."""
    return sorted(entries.all_entries(), key=lambda entry: entry.name.casefold())


def app(entry_id: str) -> App | None:
    """None: it is not installed any more."""
    return _named([entry_id]).get(entry_id)


def _named(ids: Iterable[str]) -> dict[str, App]:
    wanted = set(ids)
    if not wanted:
        return {}
    return {
        entry.id: App(entry.id, entry.name)
        for entry in entries.scan().entries
        if entry.id in wanted
    }


def pinned() -> dict[str, list[App]]:
    """By profile."""
    try:
        known = pins.pins()
    except NetjailError:
        return {}  # the file cannot be read: `netjail app list` says so
    apps = _named(pin.entry_id for pin in known)
    found: dict[str, list[App]] = {}
    for pin in known:
        if pin.entry_id in apps:
            found.setdefault(pin.profile, []).append(apps[pin.entry_id])
    return found


def recent() -> list[App]:
    """Those started last, whatever the profile."""
    ids = dict.fromkeys(each.entry_id for each in pins.recent())
    apps = _named(ids)
    return [apps[each] for each in ids if each in apps][:RECENT_MAX]


def end(pid: int, done: Callable[[NetjailError | None], None]) -> None:
    """Ask a process of the user's to end; `done` is told when it has, or why it has not."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        done(None)  # it has ended already
        return
    try:
        signal.pidfd_send_signal(fd, signal.SIGTERM)
    except OSError as error:
        os.close(fd)
        done(NetjailError("system", f"process {pid} cannot be ended: {error.strerror}"))
        return

    def ended(_fd: int, _condition: Any) -> bool:
        GLib.source_remove(timer)
        os.close(fd)
        done(None)
        return False

    def too_long() -> bool:
        GLib.source_remove(watch)
        os.close(fd)
        done(NetjailError("timeout", "it was asked to end and has not", "End it by hand."))
        return False

    watch = GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, fd, GLib.IOCondition.IN, ended)
    timer = GLib.timeout_add_seconds(END_SECONDS, too_long)


class Files:
    """Watches what pins and recent applications are kept in; `changed` is called."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._monitors = []
        for base in (GLib.get_user_config_dir(), _state_home()):
            directory = Gio.File.new_for_path(os.path.join(base, "netjail"))
            try:
                monitor = directory.monitor_directory(Gio.FileMonitorFlags.NONE, None)
            except GLib.Error:
                continue
            monitor.connect("changed", self._heard)
            self._monitors.append(monitor)

    def _heard(self, _monitor: Any, file: Any, _other: Any, event: Any) -> None:
        name = file.get_basename() or ""
        done = (
            Gio.FileMonitorEvent.CHANGES_DONE_HINT,
            Gio.FileMonitorEvent.CREATED,
            Gio.FileMonitorEvent.DELETED,
        )
        if name in ("apps.toml", "recent.json") and event in done:
            self._changed()


def _state_home() -> str:
    state = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(state):
        return state
    return os.path.join(os.path.expanduser("~"), ".local", "state")
