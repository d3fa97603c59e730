# SPDX-License-Identifier: GPL-3.0-or-later
"""Desktop entry files and their kin (mimeapps.list, D-Bus service files), edited line by line.

What is not changed stays as it is to the byte: comments, order, blank lines, the line ends of other
systems, text that is not UTF-8, a missing line end at the end. Where a file says the same key or
group twice, the last key counts and the groups are one, as for GLib.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_HEADER = re.compile(rb"[ \t]*\[([^\[\]\r\n]+)\][ \t\r]*\n?", re.DOTALL)
_KEY = re.compile(
    rb"[ \t]*([^=\r\n#\[ \t][^=\r\n]*?)[ \t]*=[ \t]*([^\n]*?)([ \t\r]*\n?)", re.DOTALL
)
_BOM = b"\xef\xbb\xbf"


class KeyFile:
    """Lines with an idea of what they say. Values are as the file has them, escapes and all; what
    is not UTF-8 in them stands there as `surrogateescape` has it."""

    def __init__(self, data: bytes = b"") -> None:
        self._lines: list[bytes] = _LINE.findall(data)

    def data(self) -> bytes:
        """The file."""
        return b"".join(self._lines)

    def groups(self) -> list[str]:
        """Names of the groups, in their order."""
        return list(dict.fromkeys(group for _, group, match in self._walk() if match is None))

    def items(self, group: str) -> dict[str, str]:
        """Keys and values of a group, in their order."""
        return {
            _decode(match[1]): _decode(match[2])
            for _, name, match in self._walk()
            if name == group and match is not None
        }

    def get(self, group: str, key: str) -> str | None:
        """The value, None where there is none."""
        return self.items(group).get(key)

    def set(self, group: str, key: str, value: str) -> None:
        """Change a value in its line, or add a line at the end of the group, which is made at the
        end of the file if there is none. Raises ValueError for what cannot be one line."""
        if "\n" in value or "\r" in value or value != value.strip(" \t"):
            raise ValueError(value)
        found = None
        end = None
        for number, name, match in self._walk():
            if name == group:
                end = number
                if match is not None and _decode(match[1]) == key:
                    found = number, match
        if found is not None:
            number, match = found
            line = self._lines[number]
            self._lines[number] = line[: match.start(2)] + _encode(value) + line[match.end(2) :]
        elif end is not None:
            self._insert(end + 1, f"{key}={value}")
        else:
            if self._lines:
                self._insert(len(self._lines), "")
            self._insert(len(self._lines), f"[{group}]")
            self._insert(len(self._lines), f"{key}={value}")

    def remove(self, group: str, key: str) -> None:
        """Take out the lines of a key."""
        doomed = {
            number
            for number, name, match in self._walk()
            if name == group and match is not None and _decode(match[1]) == key
        }
        self._lines = [line for number, line in enumerate(self._lines) if number not in doomed]

    def remove_group(self, group: str) -> None:
        """Take out a group with all that stands in it, comments included."""
        heads = {number: name for number, name, match in self._walk() if match is None}
        kept = []
        current: str | None = None
        for number, line in enumerate(self._lines):
            current = heads.get(number, current)
            if current != group:
                kept.append(line)
        self._lines = kept

    def _walk(self) -> Iterator[tuple[int, str, re.Match[bytes] | None]]:
        """(number, group, None) of each header, (number, group, match) of each key in a group."""
        group: str | None = None
        for number, line in enumerate(self._lines):
            if number == 0 and line.startswith(_BOM):
                header = _HEADER.fullmatch(line, len(_BOM))
            else:
                header = _HEADER.fullmatch(line)
            if header:
                group = _decode(header[1])
                yield number, group, None
            elif group is not None:
                match = _KEY.fullmatch(line)
                if match:
                    yield number, group, match

    def _insert(self, number: int, text: str) -> None:
        """A line of its own, with the line end that the file has."""
        end = b"\r\n" if self._lines and self._lines[0].endswith(b"\r\n") else b"\n"
        if 0 < number <= len(self._lines) and not self._lines[number - 1].endswith(b"\n"):
            self._lines[number - 1] += end
        self._lines.insert(number, _encode(text) + end)


def split_list(value: str) -> list[str]:
    """The parts of a list that is separated by semicolons (none of which is escaped in IDs of
    applications, MIME types and names of actions)."""
    return [part.strip() for part in value.split(";") if part.strip()]


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
