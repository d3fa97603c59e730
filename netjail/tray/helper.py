# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper as the tray sees it, over the system bus: what it shows is followed, never polled.

All runs on the main loop's thread, and nothing waits: each call is answered later. The helper may
come, go and come back as it likes. Where it has gone while something was up it is started again by
a call, a few times; where nothing was up it may well have ended because nobody needed it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pydbus
from gi.repository import Gio, GLib

from netjail import names
from netjail.errors import CODES, NetjailError
from netjail.tray import state as tray
from netjail.tray.state import Place, Profile

_PROPERTIES = "org.freedesktop.DBus.Properties"
_MANAGER = "org.freedesktop.DBus.ObjectManager"
_ERRORS = "org.netjail.Error."
_NO_LIMIT = GLib.MAXINT32
"""Somebody may have to type a password meanwhile."""
AGAIN_SECONDS = (1, 5, 30)
"""Between the tries to start a helper that has gone while something was up."""

Done = Callable[[Any, "NetjailError | None"], None]


class Helper:
    """`changed` is called whenever `profiles`, `presence` or `trouble` have changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._bus = pydbus.SystemBus()
        self._bus.con.set_exit_on_close(False)
        self._owner = ""
        self._by_path: dict[str, Profile] = {}
        self._tries = 0
        self._timer = 0
        self.presence: tray.Helper = "asking"
        self.trouble = ""

    @property
    def profiles(self) -> tuple[Profile, ...]:
        return tuple(sorted(self._by_path.values(), key=lambda profile: profile.name))

    def start(self) -> None:
        """Begin to follow; the helper is started if need be."""
        for interface, signal, handler in (
            (_PROPERTIES, "PropertiesChanged", self._properties),
            (_MANAGER, "InterfacesAdded", self._added),
            (_MANAGER, "InterfacesRemoved", self._removed),
        ):
            self._bus.subscribe(
                sender=names.BUS_NAME, iface=interface, signal=signal, signal_fired=handler
            )
        self._bus.watch_name(
            names.BUS_NAME,
            0,
            name_appeared=self._appeared,
            name_vanished=self._vanished,
        )
        self.wake()

    def wake(self) -> None:
        """Ask for everything, which starts the helper where none runs."""
        self._stop_timer()
        self._call(names.BUS_PATH, _MANAGER, "GetManagedObjects", None, self._managed)

    # What is asked of it -----------------------------------------------------------------------

    def up(self, name: str, done: Done) -> None:
        self._profile(name, "Up", GLib.Variant("(a{sv})", ({},)), done)

    def down(self, name: str, kill: bool, done: Done) -> None:
        options = {"kill": GLib.Variant("b", kill)}
        self._profile(name, "Down", GLib.Variant("(a{sv})", (options,)), done)

    def kill(self, name: str, pids: list[int], signal: int, done: Done) -> None:
        content = GLib.Variant("(auua{sv})", (pids, signal, {}))
        self._profile(name, "Kill", content, done)

    def refresh(self, name: str) -> None:
        """Read what is not announced: traffic, the applications inside."""

        def got(values: Any, error: NetjailError | None) -> None:
            if error is None:
                self._update(path_of(name), values[0])

        def listed(values: Any, error: NetjailError | None) -> None:
            old = self._by_path.get(path_of(name))
            if error is None and old is not None:
                found = tray.programs(values[0], os.getuid())
                self._set(path_of(name), replace(old, programs=found))

        old = self._by_path.get(path_of(name))
        if old is None or not old.live:
            return
        path = path_of(name)
        self._call(path, _PROPERTIES, "GetAll", GLib.Variant("(s)", (names.BUS_PROFILE,)), got)
        self._profile(name, "Programs", GLib.Variant("(a{sv})", ({},)), listed)

    def note_exit(self, name: str, address: str) -> None:
        """Remember the address that others see, until the profile goes down."""
        old = self._by_path.get(path_of(name))
        if old is not None:
            self._set(path_of(name), replace(old, exit_address=address))

    def note_places(self, name: str, places: tuple[Place, ...]) -> None:
        """Remember which servers a pool has."""
        old = self._by_path.get(path_of(name))
        if old is not None:
            self._set(path_of(name), replace(old, places=places))

    def note_place(self, name: str, place: str) -> None:
        """Remember which one has been chosen: of a profile that is down the bus may not tell."""
        old = self._by_path.get(path_of(name))
        if old is not None:
            self._set(path_of(name), replace(old, place=place))

    def _profile(self, name: str, member: str, content: Any, done: Done) -> None:
        self._call(path_of(name), names.BUS_PROFILE, member, content, done)

    def _call(self, path: str, interface: str, member: str, content: Any, done: Done) -> None:
        def answered(connection: Any, result: Any) -> None:
            try:
                values = connection.call_finish(result).unpack()
            except GLib.Error as error:
                done(None, error_of(error))
            else:
                done(values, None)

        self._bus.con.call(
            names.BUS_NAME, path, interface, member, content, None,
            Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION, _NO_LIMIT, None, answered,
        )  # fmt: skip

    # What it tells -----------------------------------------------------------------------------

    def _appeared(self, owner: str) -> None:
        self._owner = owner
        self.wake()

    def _vanished(self) -> None:
        if not self._owner:
            return
        self._owner = ""
        self.presence = "away"
        if any(profile.live for profile in self._by_path.values()):
            self._later()
        self._changed()

    def _later(self) -> None:
        if self._tries >= len(AGAIN_SECONDS) or self._timer:
            return
        seconds = AGAIN_SECONDS[self._tries]
        self._tries += 1

        def again() -> bool:
            self._timer = 0
            self.wake()
            return False

        self._timer = GLib.timeout_add_seconds(seconds, again)

    def _stop_timer(self) -> None:
        if self._timer:
            GLib.source_remove(self._timer)
            self._timer = 0

    def _managed(self, values: Any, error: NetjailError | None) -> None:
        if error is not None:
            if self._owner and error.code == "no-helper":
                return  # it has gone while it was asked; what follows is told by the bus
            self.presence, self.trouble = "missing", error.message
            if any(profile.live for profile in self._by_path.values()):
                self._later()
        else:
            self.presence, self.trouble, self._tries = "here", "", 0
            old = self._by_path
            self._by_path = {}
            for path, interfaces in values[0].items():
                if names.BUS_PROFILE in interfaces:
                    known = old.get(path) or Profile("")
                    self._by_path[path] = profile_of(known, interfaces[names.BUS_PROFILE])
        self._changed()

    def _ours(self, sender: str) -> bool:
        """Whether a signal is the helper's. The bus routes by name what is sent to all, but what
        is sent to us alone could be anybody's."""
        return bool(self._owner) and sender == self._owner

    def _properties(
        self, sender: str, path: str, _interface: str, _signal: str, values: Any
    ) -> None:
        if self._ours(sender) and values[0] == names.BUS_PROFILE and path in self._by_path:
            self._update(path, values[1])

    def _added(self, sender: str, _path: str, _interface: str, _signal: str, values: Any) -> None:
        path, interfaces = values
        if self._ours(sender) and names.BUS_PROFILE in interfaces:
            self._set(path, profile_of(Profile(""), interfaces[names.BUS_PROFILE]))

    def _removed(self, sender: str, _path: str, _interface: str, _signal: str, values: Any) -> None:
        path, interfaces = values
        if self._ours(sender) and names.BUS_PROFILE in interfaces:
            self._by_path.pop(path, None)
            self._changed()

    def _update(self, path: str, values: Mapping[str, Any]) -> None:
        old = self._by_path.get(path)
        if old is not None:
            self._set(path, profile_of(old, values))

    def _set(self, path: str, new: Profile) -> None:
        if self._by_path.get(path) != new:
            self._by_path[path] = new
            self._changed()


def profile_of(old: Profile, values: Mapping[str, Any]) -> Profile:
    """`old` with properties of the bus, which may be a few of them."""
    fields = {
        "name": "Name",
        "state": "State",
        "description": "Description",
        "reason": "Reason",
        "uplink": "Uplink",
        "endpoint": "Endpoint",
        "place": "Place",
        "received": "Received",
        "sent": "Sent",
    }
    known = {field: values[name] for field, name in fields.items() if name in values}
    if "Since" in values:
        known["since"] = values["Since"] or None
    new = replace(old, **known)
    if not new.live:
        new = replace(new, received=0, sent=0, programs=(), exit_address="")
    elif new.state != old.state and old.state not in ("up", "degraded"):
        new = replace(new, exit_address="")
    return new


def path_of(name: str) -> str:
    """The object of a profile. Paths know letters, digits and `_` only."""
    escaped = name.replace("_", "_5f").replace("-", "_2d")
    return f"{names.BUS_PATH}/profile/{escaped}"


_NOT_THERE = {
    "org.freedesktop.DBus.Error.ServiceUnknown": "netjail's system service is not installed",
    "org.freedesktop.DBus.Error.NameHasNoOwner": "netjail's system service does not run",
    "org.freedesktop.DBus.Error.NoReply": "the helper went away before it had answered",
    "org.freedesktop.DBus.Error.AccessDenied": "the system bus does not let you ask the helper",
}


def error_of(error: GLib.Error) -> NetjailError:
    """What a call failed with: the helper's own words (message, problems, hint: a line each), or
    why it could not be asked."""
    name = Gio.dbus_error_get_remote_error(error) or ""
    # PyGObject would strip it from a copy.
    message, _, rest = error.message.removeprefix(f"GDBus.Error:{name}: ").partition("\n")
    if name.startswith(_ERRORS):
        code = _dashes(name.removeprefix(_ERRORS))
        return NetjailError(code if code in CODES else "system", message, rest or None)
    if name in _NOT_THERE:
        return NetjailError("no-helper", _NOT_THERE[name], "sudo netjail setup installs it")
    return NetjailError("no-helper", f"the helper could not be asked: {message}", rest or None)


def _dashes(name: str) -> str:
    """ "NoSuchProfile" is no-such-profile."""
    dashed = "".join(f"-{char.lower()}" if char.isupper() else char for char in name)
    return dashed.removeprefix("-")
