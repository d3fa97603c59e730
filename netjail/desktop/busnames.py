# SPDX-License-Identifier: GPL-3.0-or-later
"""D-Bus service files: how the session bus starts an application that nobody has started.

A menu that obeys DBusActivatable, a notification that is clicked, a search provider: all of these
have the bus start `org.example.App` by its service file, past any desktop entry. A pinned
application therefore gets a service file of ours too, in $XDG_DATA_HOME/dbus-1/services, which
comes before the system's (dbus-daemon(1), <standard_session_servicedirs/>).
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass

from netjail.desktop import entries, places, rewrite
from netjail.desktop.keyfile import KeyFile
from netjail.desktop.overrides import Override
from netjail.errors import NetjailError

GROUP = "D-BUS Service"
_NAME = re.compile(r"[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+")
_NAME_MAX = 255


@dataclass(frozen=True, slots=True)
class Service:
    """`exec`: the command as the service file has it."""

    name: str
    path: str
    exec: str

    @property
    def as_exec(self) -> str:
        """The Exec line for a desktop entry that has none: the same program, not as a service."""
        try:
            words = shlex.split(self.exec)
        except ValueError:
            return ""
        kept = [word for word in words if word != "--gapplication-service"]
        return " ".join([*map(rewrite.quote, kept), "%U"]) if kept else ""


def find(entry_id: str) -> Service | None:
    """The service that starts the application with this desktop file ID: the one of its name."""
    name = entry_id.removesuffix(entries.SUFFIX)
    if len(name) > _NAME_MAX or not _NAME.fullmatch(name):
        return None
    path = _source_path(name)
    data = None if path is None else _read(path)
    if path is None or data is None:
        return None
    file = KeyFile(data)
    line = file.get(GROUP, "Exec")
    if file.get(GROUP, "Name") != name or not line:
        return None
    return Service(name, path, line)


def source(name: str) -> bytes | None:
    """The service file that ours is made from: the user's own, or the first of the system's."""
    path = _source_path(name)
    return None if path is None else _read(path)


def override(name: str) -> Override:
    """Ours."""
    target = os.path.join(places.data_home(), "dbus-1", "services", f"{name}.service")
    return Override(target, os.path.join("services", f"{name}.service"), _ours)


def _source_path(name: str) -> str | None:
    own = override(name).own()
    if own is not None:
        return own
    home = places.data_home()
    for directory in entries.data_dirs():
        path = os.path.join(directory, "dbus-1", "services", f"{name}.service")
        if directory != home and os.path.isfile(path):
            return path
    return None


def _read(path: str) -> bytes | None:
    try:
        return places.read(path)
    except NetjailError:
        return None


def _ours(data: bytes) -> bool:
    return rewrite.unwrap(KeyFile(data).get(GROUP, "Exec") or "")[0] is not None
