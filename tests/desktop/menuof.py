# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tray's menu says to the panel: its lines as JSON, asked as the panel asks.

Each line is [label, enabled, checked or null, lines below]; separators are null. The menu is that
of the first StatusNotifierItem there is; without one, this prints null.
"""

from __future__ import annotations

import json
from typing import Any

from gi.repository import Gio, GLib

bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)


def call(name: str, path: str, member: str, content: Any) -> Any:
    interface, _, method = member.rpartition(".")
    flags = Gio.DBusCallFlags.NO_AUTO_START
    return bus.call_sync(
        name, path, interface, method, content, None, flags, 5000, None
    ).unpack()  # fmt: skip


def get(name: str, path: str, interface: str, wanted: str) -> Any:
    content = GLib.Variant("(ss)", (interface, wanted))
    return call(name, path, "org.freedesktop.DBus.Properties.Get", content)[0]


def line(node: Any) -> Any:
    _, values, below = node
    if values.get("type") == "separator":
        return None
    checked = None
    if values.get("toggle-type"):
        checked = values.get("toggle-state") == 1
    # The protocol doubles what is not a mnemonic.
    label = values.get("label", "").replace("__", "_")
    return [label, values.get("enabled", True), checked, [line(each) for each in below]]


def main() -> Any:
    watcher = "org.kde.StatusNotifierWatcher"
    try:
        items = get(watcher, "/StatusNotifierWatcher", watcher, "RegisteredStatusNotifierItems")
    except GLib.Error:
        return None
    for each in items:
        try:
            return of(*each.partition("/")[::2])
        except GLib.Error:
            continue  # one that has gone, or is on its way out
    return None


def of(name: str, path: str) -> Any:
    item = "org.kde.StatusNotifierItem"
    menu = get(name, "/" + path, item, "Menu")
    content = GLib.Variant("(iias)", (0, -1, []))
    layout = call(name, menu, "com.canonical.dbusmenu.GetLayout", content)
    return {
        "title": get(name, "/" + path, item, "Title"),
        "lines": [line(each) for each in layout[1][2]],
    }


print(json.dumps(main()))
