# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the tray starts with the session: an entry in ~/.config/autostart."""

from __future__ import annotations

import os
import tempfile

from netjail.errors import NetjailError

NAME = "netjail.desktop"
ENTRY = """\
# SPDX-License-Identifier: GPL-3.0-or-later
[Desktop Entry]
Type=Application
Name=netjail
Comment=Network profiles in the panel
Comment[de]=Netzprofile in der Leiste
Icon=org.netjail.Netjail
Exec=netjail tray --wait
TryExec=netjail
Terminal=false
StartupNotify=false
X-GNOME-Autostart-enabled=true
"""
"""A session starts its entries in any order: the panel may come later, so the tray waits."""


def path() -> str:
    """The entry's file."""
    config = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(config):
        config = os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(config, "autostart", NAME)


def is_on() -> bool:
    """Whether the tray is started at login."""
    try:
        with open(path(), encoding="utf-8", errors="replace") as file:
            lines = [line.strip() for line in file]
    except OSError:
        return False
    off = ("Hidden=true", "X-GNOME-Autostart-enabled=false")
    return not any(line in off for line in lines)


def turn(on: bool) -> bool:
    """Write or remove the entry; whether that changed anything. Raises `system`."""
    if on == is_on():
        return False
    target = path()
    try:
        if on:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _write(target)
        else:
            os.unlink(target)
    except OSError as error:
        raise NetjailError(
            "system", f"cannot change {error.filename or target}: {error.strerror}"
        ) from None
    return True


def _write(target: str) -> None:
    """As a whole or not at all: a session may be reading it."""
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".netjail")
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(ENTRY)
            os.fchmod(file.fileno(), 0o644)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
