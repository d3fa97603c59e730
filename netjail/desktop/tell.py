# SPDX-License-Identifier: GPL-3.0-or-later
"""Saying something to a user who has no terminal in front of him, and to his session bus.

By a notification where the session has a server for these, else by a dialog. By programs and not
by a library: this is what a failed start does last, once, and what is installed differs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_ICON = "org.netjail.Netjail"
_SECONDS = 10.0
"""How long a server of notifications may take to be started and to answer."""
_STAYS = 15_000
"""Milliseconds that a notification is to be seen."""
_LENGTH_MAX = 1000


def tell(title: str, text: str) -> bool:
    """Show it; whether anything could."""
    ways: tuple[Callable[[str, str], bool], ...] = (_notify_send, _gdbus, _dialog)
    text = text[:_LENGTH_MAX]
    return any(way(title, text) for way in ways)


def reload_services() -> None:
    """Have the session bus read its service files again: it knows those that it has read."""
    if _has_bus():
        _run(
            "gdbus",
            *("call", "--session", "--dest", "org.freedesktop.DBus"),
            *("--object-path", "/org/freedesktop/DBus"),
            *("--method", "org.freedesktop.DBus.ReloadConfig"),
        )


def markup(text: str) -> str:
    """Text as the body of a notification, where `<`, `>` and `&` mean something."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _has_bus() -> bool:
    """Whether there is a session bus. None is started for this."""
    if os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return True
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return bool(runtime) and os.path.exists(f"{runtime}/bus")


def _notify_send(title: str, text: str) -> bool:
    words = ["-a", "netjail", "-i", _ICON, "-t", str(_STAYS), "-u", "critical", "--", title]
    return _has_bus() and _run("notify-send", *words, markup(text))


def _gdbus(title: str, text: str) -> bool:
    if not _has_bus():
        return False
    # (app_name, replaces_id, app_icon, summary, body, actions, hints, expire_timeout)
    hints = "{'urgency': <byte 2>}"
    return _run(
        "gdbus",
        *("call", "--session", "--dest", "org.freedesktop.Notifications"),
        *("--object-path", "/org/freedesktop/Notifications"),
        *("--method", "org.freedesktop.Notifications.Notify"),
        *(_variant("netjail"), "0", _variant(_ICON), _variant(title), _variant(markup(text))),
        *("@as []", hints, str(_STAYS)),
    )


def _variant(text: str) -> str:
    """A string of GVariant's text format, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def _run(program: str, *words: str) -> bool:
    if shutil.which(program) is None:
        return False
    try:
        done = subprocess.run(
            [program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return False
    return done.returncode == 0


def _dialog(title: str, text: str) -> bool:
    """A window, for which we do not wait."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    for command in (
        ["zenity", "--error", f"--title={title}", "--no-markup", f"--text={text}"],
        ["kdialog", "--title", title, "--error", markup(text)],
        ["xmessage", "-center", f"{title}\n\n{text}"],
    ):
        if shutil.which(command[0]) is None:
            continue
        try:
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError):
            continue
        return True
    return False
