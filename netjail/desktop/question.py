# SPDX-License-Identifier: GPL-3.0-or-later
"""A question to a user who has no terminal in front of them, in a small window.

By the desktop's own program for that, zenity or kdialog: the answer comes over a pipe, and is in no
argument, environment or file.
"""

from __future__ import annotations

import os
import shutil
import subprocess

_LENGTH_MAX = 4096


def possible() -> bool:
    """Whether there is a display, and a program that asks there."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(shown) and any(map(shutil.which, ("zenity", "kdialog")))


def command(title: str, text: str, visible: bool) -> list[str]:
    """What shows the window. `text` is one line, and may be a server's."""
    if shutil.which("zenity") is not None:
        label = text.replace("\\", "\\\\").replace("_", "__")  # else an escape, a mnemonic
        words = ["zenity", "--entry", f"--title={title}", f"--text={label}"]
        return words if visible else [*words, "--hide-text"]
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return ["kdialog", "--title", title, "--inputbox" if visible else "--password", html]


def ask(title: str, text: str, visible: bool = False) -> str | None:
    """The answer, for which there is all the time in the world; None for none."""
    try:
        done = subprocess.run(
            command(title, text, visible),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, ValueError):
        return None
    if done.returncode != 0 or len(done.stdout) > _LENGTH_MAX:
        return None
    return done.stdout.decode(errors="replace").removesuffix("\n")
