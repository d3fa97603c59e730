# SPDX-License-Identifier: GPL-3.0-or-later
"""What the desktop session has: its bus, a tray to be shown in, another tray of ours.

Panels take icons in two ways. StatusNotifierItem, over the session bus: Plasma, Xfce, GNOME with an
extension, sway. XEmbed, over X: Xfce, MATE, i3, and whatever is older. Of pystray's backends
`appindicator` speaks the first, `gtk` and `xorg` the second, and `xorg` has no menu.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import gi
import pydbus
from gi.repository import Gio, GLib

from netjail.errors import NetjailError

Backend = Literal["appindicator", "gtk", "xorg"]
BACKENDS: tuple[Backend, ...] = ("appindicator", "gtk", "xorg")
"""The best first."""

NAME = "org.netjail.Tray"
"""On the session bus: whoever owns it is the session's tray."""
PATH = "/org/netjail/Tray"
WATCHER = "org.kde.StatusNotifierWatcher"
_APPLICATION = """<node><interface name="org.freedesktop.Application">
<method name="Activate"><arg type="a{sv}" direction="in"/></method>
<method name="Open"><arg type="as" direction="in"/><arg type="a{sv}" direction="in"/></method>
<method name="ActivateAction"><arg type="s" direction="in"/><arg type="av" direction="in"/>
<arg type="a{sv}" direction="in"/></method>
</interface></node>"""
_DO_NOT_QUEUE = 4
_PRIMARY_OWNER = 1


def bus() -> Any:
    """The session bus (pydbus). Raises `system` where there is none."""
    try:
        made = pydbus.SessionBus()
    except GLib.Error:
        raise NetjailError(
            "system",
            "there is no session bus, over which a tray icon is shown",
            "Start `netjail tray` within a desktop session, as the user who is logged in there.",
        ) from None
    made.con.set_exit_on_close(False)
    return made


def _ask_bus(connection: Any, member: str, content: Any, reply: str) -> Any:
    return connection.call_sync(
        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", member, content,
        GLib.VariantType(reply), Gio.DBusCallFlags.NONE, -1, None,
    ).unpack()[0]  # fmt: skip


# One tray per session -------------------------------------------------------------------------


class Only:
    """The session's one tray. `asked` is told what others ask of it: "show", "import"."""

    def __init__(self, session: Any, asked: Callable[[str], None]) -> None:
        self._connection = session.con
        self._asked = asked

    def claim(self) -> bool:
        """Whether we are it."""
        interface = Gio.DBusNodeInfo.new_for_xml(_APPLICATION).interfaces[0]
        number = self._connection.register_object(PATH, interface, self._called, None, None)
        content = GLib.Variant("(su)", (NAME, _DO_NOT_QUEUE))
        if _ask_bus(self._connection, "RequestName", content, "(u)") == _PRIMARY_OWNER:
            return True
        self._connection.unregister_object(number)
        return False

    def tell(self, what: str) -> int:
        """Ask the other tray; its pid."""
        member, content = "Activate", GLib.Variant("(a{sv})", ({},))
        if what != "show":
            member, content = "ActivateAction", GLib.Variant("(sava{sv})", (what, [], {}))
        self._connection.call_sync(
            NAME, PATH, "org.freedesktop.Application", member, content, None,
            Gio.DBusCallFlags.NO_AUTO_START, 10000, None,
        )  # fmt: skip
        name = GLib.Variant("(s)", (NAME,))
        return int(_ask_bus(self._connection, "GetConnectionUnixProcessID", name, "(u)"))

    def _called(
        self,
        _connection: Any,
        _sender: str,
        _path: str,
        _interface: str,
        member: str,
        content: Any,
        invocation: Any,
    ) -> None:
        values = content.unpack()
        invocation.return_value(None)
        self._asked(values[0] if member == "ActivateAction" else "show")


# A tray to be shown in ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What there is: hosts for StatusNotifierItem and XEmbed, and what our backends can use."""

    notifier: bool
    xembed: bool
    appindicator: bool
    gtk: bool
    xlib: bool


def choose(found: Found) -> Backend | None:
    """The best backend that would be seen; None: none would. Pure."""
    if found.notifier and found.appindicator and found.gtk:
        return "appindicator"
    if found.xembed and found.gtk:
        return "gtk"
    if found.xembed and found.xlib:
        return "xorg"
    return None


def no_tray(found: Found) -> NetjailError:
    """Why there is none, in plain words."""
    if found.notifier or found.xembed:
        return NetjailError(
            "missing-program",
            "this desktop has a tray, but what netjail needs to use it is not installed",
            "On Debian and Ubuntu: apt install python3-pystray gir1.2-ayatanaappindicator3-0.1",
        )
    return NetjailError(
        "system",
        "this desktop has no tray (no notification area) in which an icon could be shown",
        "Add one to the panel (on GNOME: the extension AppIndicator and KStatusNotifierItem "
        "Support), or start with `netjail tray --wait`, which waits for one.\n"
        "All that the tray can do, the commands can do too: netjail --help",
    )


def look_around(session: Any) -> Found:
    """What there is now. Loads neither GTK nor pystray."""
    return Found(
        notifier=_has_notifier_host(session.con),
        xembed=_xembed_owner(),
        appindicator=_typelib("AyatanaAppIndicator3", "0.1") or _typelib("AppIndicator3", "0.1"),
        gtk=_typelib("Gtk", "3.0"),
        xlib=_has_xlib() and bool(os.environ.get("DISPLAY")),
    )


def forced() -> Backend | None:
    """The backend that PYSTRAY_BACKEND demands, if it does. Raises `usage`."""
    name = os.environ.get("PYSTRAY_BACKEND")
    for backend in BACKENDS:
        if name == backend:
            return backend
    if name:
        raise NetjailError(
            "usage",
            f"there is no tray backend {name} (PYSTRAY_BACKEND)",
            f"There are: {', '.join(BACKENDS)}.",
        )
    return None


def _typelib(name: str, version: str) -> bool:
    try:
        gi.require_version(name, version)
    except ValueError:
        return False
    return True


def _has_xlib() -> bool:
    import importlib.util

    return importlib.util.find_spec("Xlib") is not None


def _has_notifier_host(connection: Any) -> bool:
    if not _ask_bus(connection, "NameHasOwner", GLib.Variant("(s)", (WATCHER,)), "(b)"):
        return False
    content = GLib.Variant("(ss)", (WATCHER, "IsStatusNotifierHostRegistered"))
    try:
        answer = connection.call_sync(
            WATCHER, "/StatusNotifierWatcher", "org.freedesktop.DBus.Properties", "Get", content,
            None, Gio.DBusCallFlags.NO_AUTO_START, 5000, None,
        )  # fmt: skip
    except GLib.Error:
        return False
    return bool(answer.unpack()[0])


def _xembed_owner() -> bool:
    if not os.environ.get("DISPLAY") or not _has_xlib():
        return False
    from Xlib import error

    try:
        screen = Screen()
    except (error.DisplayError, OSError):
        return False
    try:
        return screen.has_tray()
    finally:
        screen.close()


class Screen:
    """The X screen. Raises Xlib's DisplayError where there is none."""

    def __init__(self) -> None:
        from Xlib import display

        self._display = display.Display()
        number = self._display.get_default_screen()
        self._selection = self._display.intern_atom(f"_NET_SYSTEM_TRAY_S{number}")

    def has_tray(self) -> bool:
        owner = self._display.get_selection_owner(self._selection)
        return bool(owner) and owner.id != 0

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` when a client says that it manages something, as a tray does."""
        from Xlib import X

        root = self._display.screen().root
        root.change_attributes(event_mask=X.StructureNotifyMask)
        self._display.flush()

        def readable(_fd: int, condition: GLib.IOCondition) -> bool:
            if condition & (GLib.IOCondition.HUP | GLib.IOCondition.ERR):
                return False
            try:
                heard = False
                while self._display.pending_events():
                    heard |= self._display.next_event().type == X.ClientMessage
            except Exception:
                return False  # the display has gone, and the session with it
            if heard:
                changed()
            return True

        flags = GLib.IOCondition.IN | GLib.IOCondition.HUP | GLib.IOCondition.ERR
        GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, self._display.fileno(), flags, readable)

    def close(self) -> None:
        self._display.close()


GRACE_SECONDS = 3
"""A panel that takes icons in both ways begins with one of them: so long the better one is waited
for, once the other is there."""


class Waiting:
    """Waits for a tray; `came` is told of its backend, once."""

    def __init__(self, session: Any, came: Callable[[Backend], None]) -> None:
        self._session = session
        self._came: Callable[[Backend], None] | None = came
        self._grace = 0
        session.watch_name(WATCHER, 0, name_appeared=lambda _owner: self._look())
        session.subscribe(
            sender=WATCHER,
            iface=WATCHER,
            signal="StatusNotifierHostRegistered",
            signal_fired=lambda *_: self._look(),
        )
        self._screen: Screen | None = None
        if os.environ.get("DISPLAY") and _has_xlib():
            from Xlib import error

            try:
                self._screen = Screen()
            except (error.DisplayError, OSError):
                return
            self._screen.watch(self._look)
            GLib.idle_add(self._look)  # one that came just before it was watched for

    def _look(self) -> None:
        backend = None if self._came is None else choose(look_around(self._session))
        if backend == BACKENDS[0]:
            self._tell(backend)
        elif backend is not None and not self._grace:
            self._grace = GLib.timeout_add_seconds(GRACE_SECONDS, self._settle)

    def _settle(self) -> bool:
        self._grace = 0
        backend = None if self._came is None else choose(look_around(self._session))
        if backend is not None:
            self._tell(backend)
        return False

    def _tell(self, backend: Backend) -> None:
        if self._came is not None:
            came, self._came = self._came, None
            came(backend)
