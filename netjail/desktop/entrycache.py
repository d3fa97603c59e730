# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of desktop entry files, kept from one process to the next.

In $XDG_CACHE_HOME/netjail/entries.json. Of each file stands there what stat(2) said of it: one that
has changed is read again. Whatever is wrong with the cache, it counts as empty.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from xdg import BaseDirectory

from netjail.desktop.entry import Action, Entry, Skipped

State = tuple[int, int, int, int]
"""Device, inode, time of the last change in nanoseconds, size."""
Known = dict[str, tuple[State, Entry | Skipped]]

_VERSION = 1
_FORM = [str(getattr(each, "__forward_arg__", each)) for each in Entry.__annotations__.values()]
_LISTS = [n for n, each in enumerate(_FORM) if each.startswith("tuple[str")]
_ACTIONS = Entry._fields.index("actions")
_KINDS = {"str": str, "bool": bool}
_TYPES = [_KINDS.get(each, list) for each in _FORM]


def file() -> str:
    """Where it is."""
    return os.path.join(BaseDirectory.xdg_cache_home, "netjail", "entries.json")


def load(languages: Sequence[str]) -> Known:
    """What was known when somebody last saved it, in these languages."""
    try:
        with open(file(), encoding="utf-8") as opened:
            data = json.load(opened)
        if data["version"] != _VERSION or data["languages"] != list(languages):
            return {}
        return {path: ((*state,), _thaw(what)) for path, (state, what) in data["files"].items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return {}


def _thaw(what: list[Any]) -> Entry | Skipped:
    if len(what) == 2:
        return Skipped(*what)
    if list(map(type, what)) != _TYPES:
        raise TypeError
    for number in _LISTS:
        what[number] = tuple(what[number])
    what[_ACTIONS] = tuple(Action(*action) for action in what[_ACTIONS])
    return Entry(*what)


def save(languages: Sequence[str], known: Mapping[str, tuple[State, Entry | Skipped]]) -> None:
    """Keep it, if that can be."""
    data = {
        "version": _VERSION,
        "languages": list(languages),
        "files": {path: (state, what) for path, (state, what) in known.items()},
    }
    directory = os.path.dirname(file())
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=directory, prefix=".entries.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(json.dumps(data, separators=(",", ":")))  # at once: in C
        os.replace(name, file())
    except (OSError, UnicodeError):
        pass  # full, or read-only: the next one reads the files
