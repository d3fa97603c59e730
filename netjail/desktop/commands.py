# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command line starts: a plain program, a flatpak, a snap, an AppImage.

Decided by its words and by where a link leads, never by running anything.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from netjail.desktop import catalogue
from netjail.desktop.catalogue import App

Kind = Literal["program", "flatpak", "snap", "appimage"]

_FLATPAK_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+){2,}")
_SNAP_DIRS = ("/snap/bin/", "/var/lib/snapd/snap/bin/")
_APPIMAGE = re.compile(r"([A-Za-z]+(?:[-_][A-Za-z]+)*).*\.appimage", re.IGNORECASE)
_LINKS = frozenset(
    {"x-www-browser", "gnome-www-browser", "x-terminal-emulator", "sensible-browser"}
)
"""Names that Debian's alternatives give to whatever was chosen."""
CONSOLE = frozenset({"--version", "-version", "--help", "-h", "-help", "-v", "-V", "--headless"})
"""Words with which a program says something, or works, without looking for another copy."""


@dataclass(frozen=True, slots=True)
class Command:
    """`name`: of the flatpak or snap, else the program's base name. `at`: the index behind the
    word that names it, where words of its own begin. `app`: its habits, if it is known to have
    some."""

    kind: Kind
    name: str
    at: int
    app: App | None


def recognise(argv: list[str]) -> Command:
    """What `argv` starts. Looks through `env NAME=VALUE`."""
    at = 0
    if os.path.basename(argv[0]) == "env":
        at = 1
        while at < len(argv) and "=" in argv[at] and not argv[at].startswith("-"):
            at += 1
        if at >= len(argv) or argv[at].startswith("-"):
            return Command("program", "env", 1, None)
    word = argv[at]
    base = os.path.basename(word)
    at += 1
    if base == "flatpak":
        return _flatpak(argv, at)
    if base == "snap" and argv[at : at + 1] == ["run"]:
        return _snap(argv, at + 1)
    snap = _snap_of(word)
    if snap:
        return Command("snap", snap, at, catalogue.by_snap(snap) or catalogue.by_program(snap))
    image = _APPIMAGE.fullmatch(base)
    if image:
        name = image[1].casefold()
        app = catalogue.by_program(name) or catalogue.by_program(image[1])
        return Command("appimage", name, at, app)
    app = catalogue.by_program(base)
    if app is None and base in _LINKS:
        base = os.path.basename(os.path.realpath(_which(word) or word))
        app = catalogue.by_program(base)
    return Command("program", base, at, app)


def _flatpak(argv: list[str], at: int) -> Command:
    if "run" in argv[at:]:
        start = argv.index("run", at) + 1
        for number in range(start, len(argv)):
            word = argv[number]
            if not word.startswith("-") and _FLATPAK_ID.fullmatch(word.split("/")[0]):
                name = word.split("/")[0]
                return Command("flatpak", name, number + 1, catalogue.by_flatpak(name))
    return Command("program", "flatpak", at, None)


def _snap(argv: list[str], at: int) -> Command:
    for number in range(at, len(argv)):
        if not argv[number].startswith("-"):
            name = argv[number].split(".")[0]
            return Command("snap", name, number + 1, catalogue.by_snap(name))
    return Command("program", "snap", at, None)


def _snap_of(word: str) -> str | None:
    """The snap that a command belongs to; its commands are links to snapd's program."""
    path = word if "/" in word else _which(word)
    if path is None:
        return None
    path = os.path.abspath(path)
    if path.startswith(_SNAP_DIRS) or os.path.basename(os.path.realpath(path)) == "snap":
        return os.path.basename(path).split(".")[0]
    return None


def _which(word: str) -> str | None:
    import shutil

    return shutil.which(word)
