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
    from collections.abc import Iterable, Sequence

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

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""O_NONBLOCK: a FIFO somebody put there must not stop us."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_SEMICOLON = re.compile(r"(?<!\\)((?:\\\\)*);")


class MalformedError(Exception):
    """The file is no desktop entry that could be used; the text says why."""


class Wanted:
    """What to look for: all of PLAIN and LOCALISED, the latter in some languages, best first."""

    def __init__(self, languages: Sequence[str]) -> None:
        self.best = {
            key: (*(f"{key}[{language}]" for language in languages), key) for key in LOCALISED
        }
        self.keys = frozenset((*PLAIN, *(each for keys in self.best.values() for each in keys)))
        read = "|".join(map(re.escape, languages)) or "-"
        # Most lines of most files are some other language's; they are passed over in C.
        foreign = rf"[A-Za-z0-9-]++\[(?!(?:{read})\])[A-Za-z0-9@_.-]*+\]="
        self.lines = re.compile(rf"\n(?!{foreign})(.++)").findall


def load(path: str) -> tuple[str, os.stat_result]:
    """The text of a file, and which one it was. Raises MalformedError, also for what is none."""
    try:
        fd = os.open(path, _FLAGS)
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
    return data.decode("utf-8", "replace"), found


def parse(text: str, wanted: Wanted) -> dict[str, dict[str, str]]:
    """Group to key to raw value, of the groups and keys that matter. Raises MalformedError."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.removeprefix("\ufeff")
    if text[:1] != "[":
        _begins(text)
    groups: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    keys = wanted.keys
    for line in wanted.lines("\n" + text):
        key, equals, value = line.partition("=")
        if key in keys:
            current[key] = value
        elif line[0] == "[":
            name = line.strip()
            if name[-1] != "]":
                raise MalformedError(
                    f"line {_number(text, line)} begins a group and does not end it"
                )
            name = name[1:-1]
            current = {}
            if name == MAIN or name.startswith(ACTION):
                current = groups.setdefault(name, current)
        elif equals:
            key = key.strip(" \t")
            if key in keys:
                current[key] = value
        elif line[0] != "#" and not line.isspace():
            raise MalformedError(f"line {_number(text, line)} is no KEY=VALUE")
    if MAIN not in groups:
        raise MalformedError(f"has no group [{MAIN}]")
    return groups


def _number(text: str, line: str) -> int:
    return text.split("\n").index(line) + 1


def _begins(text: str) -> None:
    """Before the first group there is nothing but comments."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line[:1] == "[":
            return
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
        return tuple(filter(None, map(str.strip, raw.split(";"))))
    parts = _SEMICOLON.sub("\\1\0", raw).split("\0")
    return tuple(part for each in parts if (part := string(each.replace("\\;", ";"))))


def boolean(raw: str) -> bool:
    """`true`, and the old `1`; everything else is false."""
    return raw.strip() in ("true", "1", "True")


def localised_raw(group: dict[str, str], keys: Iterable[str]) -> str:
    """The first of the keys that there is, raw; "" where there is none. See `Wanted.best`."""
    for key in keys:
        if key in group:
            return group[key]
    return ""


def localised(group: dict[str, str], keys: Iterable[str]) -> str:
    """The text of the first of the keys that there is."""
    for key in keys:
        if key in group:
            raw = group[key]
            return string(raw) if "\\" in raw else raw.strip()
    return ""
