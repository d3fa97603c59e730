# SPDX-License-Identifier: GPL-3.0-or-later
"""The tray's few windows, in GTK 3. None of them blocks: each tells what was chosen later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gi

gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GLib, Gtk, Pango  # noqa: E402

from netjail.tray.state import App  # noqa: E402

_ICON = "org.netjail.Netjail"
_kept: set[Any] = set()
"""Native choosers live only as long as somebody holds them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A line of the list of applications. `icon`: a file, a themed icon's name, or ""."""

    app: App
    comment: str = ""
    icon: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A paragraph of a report with its heading."""

    heading: str
    text: str


def choose_file(title: str, chosen: Callable[[str], None]) -> None:
    """The desktop's own file chooser; `chosen` is given the path."""
    chooser = Gtk.FileChooserNative.new(title, None, Gtk.FileChooserAction.OPEN, "_Import", None)
    for name, patterns in (
        ("VPN files", ("*.conf", "*.ovpn", "*.CONF", "*.OVPN")),
        ("All files", ("*",)),
    ):
        some = Gtk.FileFilter()
        some.set_name(name)
        for pattern in patterns:
            some.add_pattern(pattern)
        chooser.add_filter(some)
    downloads = GLib.get_user_special_dir(GLib.UserDirectory.DIRECTORY_DOWNLOAD)
    if downloads:
        chooser.set_current_folder(downloads)

    def answered(_chooser: Any, response: int) -> None:
        path = chooser.get_filename()
        _kept.discard(chooser)
        chooser.destroy()
        if response == Gtk.ResponseType.ACCEPT and path:
            chosen(path)

    chooser.connect("response", answered)
    _kept.add(chooser)
    chooser.show()


def choose_app(profile: str, choices: Sequence[Choice], chosen: Callable[[App], None]) -> None:
    """A list to pick from, with a field to search in."""
    window = _window(f"Run in {profile}", 400, 460)
    search = Gtk.SearchEntry(placeholder_text="Search")
    listed = Gtk.ListBox(activate_on_single_click=False)
    listed.set_placeholder(_label("No application of that name"))
    for choice in choices:
        listed.add(_row(choice))
    scrolled = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER, vexpand=True)
    scrolled.set_shadow_type(Gtk.ShadowType.IN)
    scrolled.add(listed)
    run = Gtk.Button.new_with_mnemonic(f"_Run in {profile.replace('_', '__')}")
    run.get_style_context().add_class("suggested-action")
    cancel = Gtk.Button.new_with_mnemonic("_Cancel")
    cancel.connect("clicked", lambda _button: window.destroy())

    def matches(row: Any) -> bool:
        return all(word in row.words for word in search.get_text().casefold().split())

    def searched(_entry: Any) -> None:
        listed.invalidate_filter()
        rows = [row for row in listed.get_children() if matches(row)]
        begins = search.get_text().strip().casefold()
        rows.sort(key=lambda row: not row.app.name.casefold().startswith(begins))
        listed.select_row(rows[0] if rows else None)

    def done(*_: Any) -> None:
        row = listed.get_selected_row()
        if row is not None:
            window.destroy()
            chosen(row.app)

    listed.set_filter_func(matches)
    search.connect("search-changed", searched)
    search.connect("activate", done)
    listed.connect("row-activated", done)
    listed.connect("selected-rows-changed", lambda _l: run.set_sensitive(_any_row(listed)))
    run.set_sensitive(False)
    run.connect("clicked", done)
    buttons = Gtk.ButtonBox(layout_style=Gtk.ButtonBoxStyle.END, spacing=6)
    buttons.add(cancel)
    buttons.add(run)
    _fill(window, search, scrolled, buttons)
    window.present_with_time(Gtk.get_current_event_time())
    search.grab_focus()


def ask_name(title: str, text: str, suggestion: str, given: Callable[[str], None]) -> None:
    """A field for a name."""
    window = _window(title, 360, -1)
    entry = Gtk.Entry(text=suggestion, activates_default=True)
    take = Gtk.Button.new_with_mnemonic("_Import")
    take.get_style_context().add_class("suggested-action")
    cancel = Gtk.Button.new_with_mnemonic("_Cancel")
    cancel.connect("clicked", lambda _button: window.destroy())

    def done(*_: Any) -> None:
        name = entry.get_text().strip()
        if name:
            window.destroy()
            given(name)

    take.connect("clicked", done)
    entry.connect("activate", done)
    buttons = Gtk.ButtonBox(layout_style=Gtk.ButtonBoxStyle.END, spacing=6)
    buttons.add(cancel)
    buttons.add(take)
    _fill(window, _label(text), entry, buttons)
    window.present_with_time(Gtk.get_current_event_time())


def report(title: str, summary: str, sections: Sequence[Section]) -> None:
    """Something to read."""
    window = _window(title, 520, 420 if sections else -1)
    body = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=14)
    for section in sections:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=2)
        heading = _label("")
        heading.set_markup(f"<b>{GLib.markup_escape_text(section.heading)}</b>")
        box.add(heading)
        box.add(_label(section.text))
        body.add(box)
    scrolled = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER, vexpand=True)
    scrolled.add(body)
    close = Gtk.Button.new_with_mnemonic("_Close")
    close.connect("clicked", lambda _button: window.destroy())
    buttons = Gtk.ButtonBox(layout_style=Gtk.ButtonBoxStyle.END)
    buttons.add(close)
    _fill(window, _label(summary), *([scrolled] if sections else []), buttons)
    window.present_with_time(Gtk.get_current_event_time())
    close.grab_focus()


def _window(title: str, width: int, height: int) -> Any:
    window = Gtk.Window(title=title, icon_name=_ICON, border_width=12)
    window.set_default_size(width, height)
    window.set_position(Gtk.WindowPosition.CENTER)

    def pressed(_window: Any, event: Any) -> bool:
        if event.keyval != Gdk.KEY_Escape:
            return False
        window.destroy()
        return True

    window.connect("key-press-event", pressed)
    return window


def _fill(window: Any, *widgets: Any) -> None:
    box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=10)
    for widget in widgets:
        box.add(widget)
    window.add(box)
    box.show_all()


def _label(text: str) -> Any:
    label = Gtk.Label(label=text, xalign=0, wrap=True, selectable=False)
    label.set_line_wrap_mode(Pango.WrapMode.WORD_CHAR)
    label.set_max_width_chars(60)
    return label


def _any_row(listed: Any) -> bool:
    return listed.get_selected_row() is not None


class _Row(Gtk.ListBoxRow):  # type: ignore[misc]
    """`words`: what a search looks in."""

    def __init__(self, choice: Choice) -> None:
        super().__init__()
        self.app = choice.app
        self.words = f"{choice.app.name} {choice.comment} {choice.app.id}".casefold()


def _row(choice: Choice) -> Any:
    row = _Row(choice)
    box = Gtk.Box(spacing=10, border_width=4)
    image = Gtk.Image()
    _set_icon(image, choice.icon)
    box.add(image)
    texts = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
    for text, small in ((choice.app.name, False), (choice.comment, True)):
        if text:
            label = Gtk.Label(label=text, xalign=0, ellipsize=Pango.EllipsizeMode.END)
            if small:
                label.get_style_context().add_class("dim-label")
            texts.add(label)
    box.add(texts)
    row.add(box)
    return row


def _set_icon(image: Any, icon: str) -> None:
    image.set_pixel_size(24)
    if icon.startswith("/"):
        try:
            from gi.repository import GdkPixbuf

            image.set_from_pixbuf(GdkPixbuf.Pixbuf.new_from_file_at_size(icon, 24, 24))
            return
        except GLib.Error:
            icon = ""
    image.set_from_icon_name(icon or "application-x-executable", Gtk.IconSize.LARGE_TOOLBAR)
