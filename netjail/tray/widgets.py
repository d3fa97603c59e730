# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu in GTK 3: one Gtk.Menu that lives as long as the icon and is changed in place.

A menu that is replaced closes under the pointer of whoever reads it. So only the lines that differ
are touched: a label that changes is changed in the open menu, a line that comes or goes is put in
or taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import Gtk  # noqa: E402

from netjail.tray.menu import Action, Item, is_separator  # noqa: E402

Press = Callable[[Action], None]


@dataclass(slots=True)
class _Line:
    item: Item
    widget: Any
    handler: int = 0
    below: Lines | None = None


class Lines:
    """A menu, and the lines in it. `touched` counts the changes, for tests."""

    def __init__(self, press: Press) -> None:
        self.menu = Gtk.Menu()
        self.touched = 0
        self._press = press
        self._lines: list[_Line] = []

    def show(self, items: Sequence[Item]) -> None:
        """Make the menu say `items`."""
        wanted = {item.key: _kind(item) for item in items}
        for line in list(self._lines):
            if wanted.get(line.item.key) != _kind(line.item):
                self._remove(line)
        kept = [line.item.key for line in self._lines]
        if kept != [item.key for item in items if item.key in set(kept)]:
            for line in list(self._lines):  # in another order: it would have to be moved about
                self._remove(line)
        for position, item in enumerate(items):
            if position < len(self._lines) and self._lines[position].item.key == item.key:
                self._update(self._lines[position], item)
            else:
                self._insert(position, item)

    def _remove(self, line: _Line) -> None:
        self.touched += 1
        self._lines.remove(line)
        self.menu.remove(line.widget)
        line.widget.destroy()

    def _insert(self, position: int, item: Item) -> None:
        self.touched += 1
        line = _Line(item, None)
        if is_separator(item):
            line.widget = Gtk.SeparatorMenuItem()
        elif item.checked is not None:
            line.widget = Gtk.CheckMenuItem(label=item.label)
            line.widget.set_active(item.checked)
        else:
            line.widget = Gtk.MenuItem(label=item.label)
        line.widget.set_sensitive(item.enabled)
        if item.children:
            line.below = Lines(self._press)
            line.below.show(item.children)
            line.widget.set_submenu(line.below.menu)
            # A panel that shows the menu itself tells of the line, GTK of the menu below.
            line.widget.connect("activate", self._opened, line)
            line.below.menu.connect("show", self._opened, line)
        elif not is_separator(item):
            line.handler = line.widget.connect("activate", self._activated, line)
        line.widget.show()
        self.menu.insert(line.widget, position)
        self._lines.insert(position, line)

    def _update(self, line: _Line, item: Item) -> None:
        old, line.item = line.item, item
        if old.label != item.label:
            self.touched += 1
            line.widget.set_label(item.label)
        if old.enabled != item.enabled:
            self.touched += 1
            line.widget.set_sensitive(item.enabled)
        if item.checked is not None and line.widget.get_active() != item.checked:
            self.touched += 1
            with line.widget.handler_block(line.handler):
                line.widget.set_active(item.checked)
        if line.below is not None:
            line.below.show(item.children)

    def _activated(self, _widget: Any, line: _Line) -> None:
        if line.item.action:
            self._press(line.item.action)

    def _opened(self, _widget: Any, line: _Line) -> None:
        if line.item.opened:
            self._press(line.item.opened)


def _kind(item: Item) -> tuple[bool, bool, bool]:
    return is_separator(item), item.checked is None, bool(item.children)
