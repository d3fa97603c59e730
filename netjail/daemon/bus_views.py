# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bus shows of the profiles: read in a worker, compared with what was shown before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gi.repository import Gio, GLib

from netjail import names
from netjail.daemon import log
from netjail.daemon.bus_words import FLEETING, broken, properties
from netjail.daemon.loop import Loop, Timer
from netjail.daemon.manager import Manager
from netjail.daemon.operations import internal
from netjail.errors import NetjailError

SETTLE_SECONDS = 0.05
"""Changes come in groups: they are shown together, this long after the first."""

Done = Callable[[], None]


@dataclass(frozen=True, slots=True)
class View:
    """A profile as it is shown. `audience`: the uids besides root's; None: everybody."""

    name: str
    values: dict[str, Any]
    audience: frozenset[int] | None

    def shown_to(self, uid: int) -> bool:
        return uid == 0 or self.audience is None or uid in self.audience


class Views:
    def __init__(
        self,
        loop: Loop,
        manager: Manager,
        added: Callable[[View], None],
        changed: Callable[[View, frozenset[str]], None],
        removed: Callable[[View], None],
    ) -> None:
        self._loop = loop
        self._manager = manager
        self._added = added
        self._changed = changed
        self._removed = removed
        self._views: dict[str, View] = {}
        self._due: set[str] = set()
        self._all_due = False
        self._waiting: list[Done] = []
        self._timer: Timer | None = None
        self._looking = False
        self._monitor: Any = None

    def get(self, name: str) -> View | None:
        return self._views.get(name)

    def seen_by(self, uid: int) -> list[View]:
        return [
            self._views[name] for name in sorted(self._views) if self._views[name].shown_to(uid)
        ]

    def all(self, done: Done) -> None:
        """Look at everything there is; then call `done`."""
        self._all_due = True
        self._waiting.append(done)
        self._look_now()

    def look(self, wanted: Iterable[str], done: Done | None = None, soon: bool = False) -> None:
        """Look at profiles, which may be new or gone, together with others a moment later, or as
        soon as possible."""
        self._due.update(wanted)
        if done is not None:
            self._waiting.append(done)
        if soon:
            self._look_now()
        elif self._timer is None:
            self._timer = self._loop.call_later(SETTLE_SECONDS, self._look_now)

    def _look_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._looking:
            return  # what is due is looked at next
        if not self._due and not self._all_due and not self._waiting:
            return
        self._looking = True
        due, self._due = self._due, set()
        everything, self._all_due = self._all_due, False
        waiting, self._waiting = self._waiting, []
        before = set(self._views)

        def look() -> None:
            found: dict[str, View | None] = {}
            try:
                wanted = due | (before | self._there() if everything else set())
                found = {name: self._read(name) for name in sorted(wanted)}
            except Exception:
                log.crash("while looking at profiles")
            finally:
                self._loop.call_soon(partial(self._looked, found, waiting))

        self._manager.workers.run(look)

    def _looked(self, found: dict[str, View | None], waiting: Iterable[Done]) -> None:
        self._looking = False
        for name, new in found.items():
            self._show(name, new)
        self._watch_files()
        for done in waiting:
            done()
        self._look_now()

    def _show(self, name: str, new: View | None) -> None:
        old = self._views.get(name)
        if old is not None and (new is None or new.audience != old.audience):
            del self._views[name]
            self._removed(old)
            old = None
        if new is None:
            return
        self._views[name] = new
        if old is None:
            self._added(new)
            return
        changed = {
            key
            for key, value in new.values.items()
            if key not in FLEETING and _plain(value) != _plain(old.values[key])
        }
        if changed:
            self._changed(new, frozenset(changed))

    # In a worker -------------------------------------------------------------------------------

    def _there(self) -> set[str]:
        stored = set(self._manager.queries.stored())
        return stored | {entry.name for entry in self._manager.registry.live()}

    def _read(self, name: str) -> View | None:
        known = self._manager.registry.get(name)
        audience = self._manager.rights.audience(name)
        try:
            values = properties(self._manager.queries.status(name)["profile"])
        except NetjailError as error:
            if error.code == "no-such-profile" and not known.live:
                return None
            values = broken(known, error)
        except Exception:
            log.crash(f"while looking at {name}")
            values = broken(known, internal("status"))
        return View(name, values, audience)

    # Files that are changed by hand ------------------------------------------------------------

    def _watch_files(self) -> None:
        """Watch the directory of profiles, once there is one."""
        if self._monitor is not None or not os.path.isdir(names.PROFILE_DIR):
            return
        directory = Gio.File.new_for_path(names.PROFILE_DIR)
        try:
            self._monitor = directory.monitor_directory(Gio.FileMonitorFlags.NONE, None)
        except GLib.Error as error:
            log.warning(f"cannot watch {names.PROFILE_DIR}: {error.message}")
            return
        self._monitor.connect("changed", self._file_changed)

    def _file_changed(self, _monitor: Any, file: Any, _other: Any, _event: Any) -> None:
        name, _, suffix = (file.get_basename() or "").partition(".")
        if suffix == "toml" and names.valid_name(name):
            self.look([name])


def _plain(value: Any) -> Any:
    """Something to compare: variants are equal only to themselves."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value.unpack() if isinstance(value, GLib.Variant) else value
