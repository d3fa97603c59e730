# SPDX-License-Identifier: GPL-3.0-or-later
"""On which line of a TOML text a key stands. tomllib tells lines of syntax errors only.

Knows tables, arrays of tables and plain `key = value` lines, which is how profiles are written.
Whatever is out of the ordinary (multi-line strings, quoted or dotted keys) yields no line rather
than a wrong one.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*(?:([A-Za-z0-9_-]+)|\"([^\"\\]+)\"|'([^']+)')\s*=")


class Locator:
    """Lines of keys, found by `schema` paths."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: dict[tuple[str | int, ...], int] | None = None

    def line(self, path: tuple[str | int, ...]) -> int | None:
        """The line (from 1) of the key, or of the table it is missing from."""
        if self._lines is None:
            # Not before a problem needs it: most files have none.
            odd = '"""' in self._text or "'''" in self._text
            self._lines = {} if odd else _scan(self._text)
        found = self._lines.get(path)
        return self._lines.get(path[:-1]) if found is None and len(path) > 1 else found


def _scan(text: str) -> dict[tuple[str | int, ...], int]:
    lines: dict[tuple[str | int, ...], int] = {}
    counts: dict[str, int] = {}
    table: tuple[str | int, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        header = _HEADER.match(line)
        if header:
            name = header[2]
            table = tuple(name.split("."))
            if header[1] == "[[":
                index = counts.get(name, 0)
                counts[name] = index + 1
                lines.setdefault(table, number)
                table = (*table, index)
            lines.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            lines.setdefault((*table, key[1] or key[2] or key[3]), number)
    return lines
