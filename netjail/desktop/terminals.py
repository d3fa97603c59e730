# SPDX-License-Identifier: GPL-3.0-or-later
"""A terminal for an entry that wants one (Terminal=true) and is not started from one.

It is started inside, like any program; those that hand over to a server are set apart by their
catalogue entry, as when somebody starts them by name.
"""

from __future__ import annotations

import os
import shutil

from netjail.errors import NetjailError

TERMINALS: tuple[tuple[str, ...], ...] = (
    ("xdg-terminal-exec",),
    ("xfce4-terminal", "--disable-server", "-x"),
    ("konsole", "--separate", "-e"),
    ("mate-terminal", "--disable-factory", "-x"),
    ("foot",),
    ("alacritty", "-e"),
    ("kitty",),
    ("lxterminal", "--no-remote", "-e"),
    ("tilix", "--new-process", "-e"),
    ("xterm", "-e"),
    ("urxvt", "-e"),
    ("st", "-e"),
    ("dbus-run-session", "--", "gnome-terminal", "--wait", "--"),
    ("dbus-run-session", "--", "kgx", "--"),
)
"""What stands before a command, so that the terminal runs in the process that is started."""


def around(argv: list[str]) -> list[str]:
    """`argv` in a terminal: that of $TERMINAL if it is one of the known ones, else the first that
    is installed. Raises NetjailError("missing-program")."""
    chosen = os.path.basename(os.environ.get("TERMINAL", ""))
    order = sorted(TERMINALS, key=lambda words: chosen not in words)
    for words in order:
        if all(shutil.which(word) for word in words if _is_program(word)):
            if words[0] == "xdg-terminal-exec" and chosen != words[0]:
                continue  # it may choose one that hands over
            return [*words, *argv]
    known = ", ".join(dict.fromkeys(w for t in TERMINALS for w in t if _is_program(w)))
    raise NetjailError(
        "missing-program",
        "the application wants a terminal, and none that is known is installed",
        f"Start it from a terminal, or install one of: {known}.",
    )


def _is_program(word: str) -> bool:
    return not word.startswith("-")
