# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tray asks of `desktop`: the applications there are, the pinned ones, the recent ones."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from gi.repository import Gio, GLib

from netjail.desktop import entries, pins, watch
from netjail.errors import NetjailError
from netjail.tray.state import App, Escaped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netjail.desktop.entries import Entry

RECENT_MAX = 8
END_SECONDS = 30.0
"""For so long an application may ask its user what to do with unsaved work."""


def applications() -> list[Entry]:
    """What menus show, by name, but not the launchers that start in a profile already."""
    found = [entry for entry in entries.all_entries() if not entry.id.startswith("netjail.")]
    return sorted(found, key=lambda entry: entry.name.casefold())


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


def outside() -> dict[Escaped, watch.Outside]:
    """Pinned applications that run outside of their profiles."""
    try:
        found = watch.look()
    except (NetjailError, OSError):
        return {}
    apps = _named(each.entry_id for each in found)
    return {
        Escaped(
            apps.get(each.entry_id) or App(each.entry_id, each.entry_id.removesuffix(".desktop")),
            each.profile,
            each.pids[0],
            each.where,
        ): each
        for each in found
        if each.pids
    }


def end(found: watch.Outside, done: Callable[[bool], None]) -> None:
    """Ask it to end; `done` is told whether it has. A thread waits for it."""

    def work() -> None:
        ended = watch.end(found, END_SECONDS)
        GLib.idle_add(lambda: bool(done(ended)))  # type: ignore[func-returns-value]

    threading.Thread(target=work, daemon=True).start()


def note(entry_id: str, profile: str) -> None:
    """It is being started there: remember it for the menu."""
    pins.note_recent(entry_id, profile)


class Files:
    """Watches what pins and recent applications are kept in; `changed` is called."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._monitors = []
        for base in (GLib.get_user_config_dir(), _state_home()):
            path = os.path.join(base, "netjail")
            try:
                # One that is not there would be looked for by a timer.
                os.makedirs(path, mode=0o700, exist_ok=True)
                directory = Gio.File.new_for_path(path)
                monitor = directory.monitor_directory(Gio.FileMonitorFlags.NONE, None)
            except (OSError, GLib.Error):
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
