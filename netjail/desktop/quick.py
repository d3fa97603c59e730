# SPDX-License-Identifier: GPL-3.0-or-later
"""Desktop entry files, read for a list: a few keys of two kinds of groups, in one pass.

pyxdg keeps every key in every language of a file, which is what somebody needs who writes one
(`entries.document`); a menu of 500 has no use for them. A test reads the same files both ways.
Facts: Desktop Entry Specification 1.5, and GLib's gdesktopappinfo.c where that leaves a choice.
"""

from __future__ import annotations

import os
import re
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAIN = "Desktop Entry"
ACTION = "Desktop Action "
SIZE_MAX = 1 << 20
"""Bytes of a file beyond which it is none of a desktop entry (the largest known has 60 kB)."""

LOCALISED = ("Name", "GenericName", "Comment", "Icon", "Keywords")
PLAIN = (
    "Type",
    "Exec",
    "TryExec",
    "Path",
    "Terminal",
    "MimeType",
    "Categories",
    "Actions",
    "OnlyShowIn",
    "NotShowIn",
    "Hidden",
    "NoDisplay",
    "DBusActivatable",
    "StartupWMClass",
    "StartupNotify",
    "X-Flatpak",
    "X-SnapInstanceName",
)

_LOOSE = re.compile(r"^[ \t]*([^=\n#\[][^=\n]*?)[ \t]*=", re.MULTILINE)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_SEMICOLON = re.compile(r"(?<!\\)((?:\\\\)*);")


class MalformedError(Exception):
    """The file is no desktop entry that could be used; the text says why."""


def wanted(languages: Sequence[str]) -> frozenset[str]:
    """The keys to look for: all of them plain, some in these languages too."""
    localised = [f"{key}[{language}]" for key in LOCALISED for language in languages]
    return frozenset((*PLAIN, *LOCALISED, *localised))


def load(path: str) -> str:
    """The text of a file. Raises MalformedError, also for what is no file."""
    try:
        # O_NONBLOCK: a FIFO somebody put there must not stop us
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise MalformedError(f"cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise MalformedError("is not a file")
        if found.st_size > SIZE_MAX:
            raise MalformedError(f"is larger than {SIZE_MAX >> 20} MiB")
        data = os.read(fd, found.st_size + 1)
    except OSError as error:
        raise MalformedError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)
    return data.decode("utf-8", "replace")


def parse(text: str, keys: frozenset[str]) -> dict[str, dict[str, str]]:
    """Group to key to raw value, of the groups and keys that matter. Raises MalformedError."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if " =" in text or "\t=" in text or "\n " in text or "\n\t" in text:
        text = _LOOSE.sub(r"\1=", text)
    groups: dict[str, dict[str, str]] = {}
    lines = text.removeprefix("\ufeff").split("\n")
    at = _first(lines)
    current: dict[str, str] = {}
    for number in range(at, len(lines)):
        line = lines[number]
        key, equals, value = line.partition("=")
        if key in keys:
            current[key] = value
        elif line[:1] == "[":
            name = line.strip()
            if name[-1] != "]":
                raise MalformedError(f"line {number + 1} begins a group and does not end it")
            name = name[1:-1]
            current = {}
            if name == MAIN or name.startswith(ACTION):
                current = groups.setdefault(name, current)
        elif not equals and line and line[0] != "#" and not line.isspace():
            raise MalformedError(f"line {number + 1} is no KEY=VALUE")
    if MAIN not in groups:
        raise MalformedError(f"has no group [{MAIN}]")
    return groups


def _first(lines: list[str]) -> int:
    """The line with the first group: before it there is nothing but comments."""
    for number, line in enumerate(lines):
        if line[:1] == "[":
            return number
        if line and line[0] != "#" and not line.isspace():
            raise MalformedError(f"line {number + 1} stands before any group")
    raise MalformedError("is empty" if not any(lines) else f"has no group [{MAIN}]")


def string(raw: str) -> str:
    """The value of a key of type string: `\\s`, `\\n`, `\\t`, `\\r` and `\\\\` mean something."""
    raw = raw.strip()
    if "\\" not in raw:
        return raw
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), raw)


def strings(raw: str) -> tuple[str, ...]:
    """A list: separated by semicolons, of which `\\;` is a literal one."""
    if not raw:
        return ()
    if "\\" not in raw:
        return tuple(part for each in raw.split(";") if (part := each.strip()))
    parts = _SEMICOLON.sub("\\1\0", raw).split("\0")
    return tuple(part for each in parts if (part := string(each.replace("\\;", ";"))))


def boolean(raw: str) -> bool:
    """`true`, and the old `1`; everything else is false."""
    return raw.strip() in ("true", "1", "True")


def localised(group: dict[str, str], key: str, languages: Sequence[str]) -> str:
    """The value in the best of the languages, raw; "" where there is none."""
    for language in languages:
        value = group.get(f"{key}[{language}]")
        if value is not None:
            return value
    return group.get(key, "")
