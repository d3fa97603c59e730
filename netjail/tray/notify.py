# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows notices by org.freedesktop.Notifications. What is worth one is said by `notices`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gi.repository import Gio, GLib

from netjail.tray.menu import Action
from netjail.tray.notices import Notice

_NAME = "org.freedesktop.Notifications"
_PATH = "/org/freedesktop/Notifications"
_URGENCY = {"low": 0, "normal": 1, "critical": 2}
ICON = "org.netjail.Netjail"


class Notifier:
    """`press` is given the action of a notification's button."""

    def __init__(self, session: Any, press: Callable[[Action], None]) -> None:
        self._connection = session.con
        self._press = press
        self._markup: bool | None = None
        self._numbers: dict[str, int] = {}
        self._actions: dict[int, dict[str, Action]] = {}
        for signal, handler in (
            ("ActionInvoked", self._invoked),
            ("NotificationClosed", self._closed),
        ):
            session.subscribe(sender=_NAME, iface=_NAME, signal=signal, signal_fired=handler)

    def show(self, notice: Notice) -> None:
        """Show it, in place of the last one on its topic. Where nobody shows notifications, it is
        not shown."""
        if self._markup is not None:
            self._send(notice)
            return

        def asked(connection: Any, result: Any) -> None:
            try:
                known = connection.call_finish(result).unpack()[0]
            except GLib.Error:
                return  # nobody is there
            self._markup = "body-markup" in known
            self._send(notice)

        self._call("GetCapabilities", None, asked)

    def _send(self, notice: Notice) -> None:
        text = GLib.markup_escape_text(notice.text) if self._markup else notice.text
        buttons = {f"a{number}": action for number, (_, action) in enumerate(notice.actions)}
        words = [
            word
            for number, (label, _) in enumerate(notice.actions)
            for word in (f"a{number}", label)
        ]
        hints = {
            "urgency": GLib.Variant("y", _URGENCY[notice.urgency]),
            "desktop-entry": GLib.Variant("s", "netjail"),
            "category": GLib.Variant("s", "network"),
        }
        content = GLib.Variant(
            "(susssasa{sv}i)",
            (
                "netjail",
                self._numbers.get(notice.topic, 0),
                ICON,
                notice.title,
                text,
                words,
                hints,
                -1,
            ),
        )

        def shown(connection: Any, result: Any) -> None:
            try:
                number = connection.call_finish(result).unpack()[0]
            except GLib.Error:
                self._markup = None  # the next may find another server
                return
            self._numbers[notice.topic] = number
            self._actions[number] = buttons

        self._call("Notify", content, shown)

    def _call(self, member: str, content: Any, done: Any) -> None:
        self._connection.call(
            _NAME, _PATH, _NAME, member, content, None, Gio.DBusCallFlags.NONE, -1, None, done
        )

    def _invoked(self, _sender: str, _path: str, _iface: str, _signal: str, values: Any) -> None:
        number, key = values
        action = self._actions.get(number, {}).get(key)
        if action is not None:
            self._press(action)

    def _closed(self, _sender: str, _path: str, _iface: str, _signal: str, values: Any) -> None:
        number = values[0]
        self._actions.pop(number, None)
        for topic in [each for each, known in self._numbers.items() if known == number]:
            del self._numbers[topic]
