# SPDX-License-Identifier: GPL-3.0-or-later
"""One application, as its desktop entry says it."""

from __future__ import annotations

from typing import NamedTuple

from netjail.errors import NetjailError


class Action(NamedTuple):
    """A further way to start an application: [Desktop Action ID]. `exec` may be ""."""

    id: str
    name: str
    exec: str
    icon: str


class Entry(NamedTuple):
    """One application. Texts are in the user's language, `exec` is as the file has it, its
    string escapes resolved (see `execline` for the rest). `profile`: where it starts, if the file
    is one of ours; `exec` then is what is started there, without us.

    `id`: desktop file ID, "firefox.desktop". `directory`: where it wants to be started (Path),
    or "". `flatpak`, `snap`: its id there, or "".
    """

    id: str
    path: str
    name: str
    generic_name: str
    comment: str
    icon: str
    exec: str
    try_exec: str
    directory: str
    actions: tuple[Action, ...]
    mime_types: tuple[str, ...]
    categories: tuple[str, ...]
    keywords: tuple[str, ...]
    only_show_in: tuple[str, ...]
    not_show_in: tuple[str, ...]
    terminal: bool
    no_display: bool
    hidden: bool
    dbus_activatable: bool
    startup_notify: bool
    startup_wm_class: str
    flatpak: str
    snap: str
    profile: str = ""

    def action(self, name: str) -> Action:
        """Raises NetjailError("no-such-application") where there is no such action."""
        for action in self.actions:
            if action.id == name:
                return action
        known = ", ".join(action.id for action in self.actions)
        raise NetjailError(
            "no-such-application",
            f"{self.id} has no action {name}",
            f"It has: {known}." if known else "It has none at all.",
        )


class Skipped(NamedTuple):
    """A file that is no application, and why."""

    path: str
    reason: str
