# SPDX-License-Identifier: GPL-3.0-or-later
"""The words, lines and blocks of an OpenVPN configuration, taken apart as openvpn(8) does it
(parse_line, read_config_file and check_inline_file in its options.c)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_WORDS_MAX = 16
"""openvpn's MAX_PARMS."""
_BLANKS = " \t\n\v\f\r"


@dataclass(slots=True)
class Line:
    """A directive. `name` without the -- that may stand before it."""

    number: int
    name: str
    values: list[str] = field(repr=False)

    def value(self, n: int = 0) -> str:
        """One of its values; "" where there are fewer."""
        return self.values[n] if n < len(self.values) else ""


@dataclass(slots=True)
class Block:
    """An inline block: what stands between <tag> and </tag>."""

    number: int
    tag: str
    body: list[str] = field(repr=False)


@dataclass(slots=True)
class Wrong:
    """A line that openvpn would not take either."""

    number: int
    why: str


def words(line: str) -> list[str] | None:
    """The words of a line; None where its quotes or backslashes are wrong."""
    found: list[str] = []
    word = ""
    state = ""  # "": between words; "u": in a bare one; a quote: in one of that kind
    backslash = False
    for char in line + "\n":
        if char == "\\" and not backslash and state != "'":
            backslash = True
            continue
        out = ""
        done = False
        if not state:
            if char not in _BLANKS:
                if char in "#;":
                    break
                if char in "\"'" and not backslash:
                    state = char
                else:
                    out, state = char, "u"
        elif state == "u":
            done = char in _BLANKS and not backslash
            out = "" if done else char
        else:
            done = char == state and not (backslash and state == '"')
            out = "" if done else char
        if backslash and out and out not in ('\\"' + _BLANKS):
            return None
        backslash = False
        word += out
        if done:
            found.append(word)
            word, state = "", ""
            if len(found) == _WORDS_MAX:
                break
    return None if state else found


def lex(lines: list[str], first: int = 1) -> Iterator[Line | Block | Wrong]:
    """What stands in a file, in order. `first`: the number of the first line."""
    n = 0
    while n < len(lines):
        number = first + n
        found = words(lines[n])
        n += 1
        if found is None:
            yield Wrong(number, "has a quote that does not end, or a backslash before a letter")
            continue
        if not found:
            continue
        name = found[0]
        if len(found) == 1 and len(name) > 2 and name[0] == "<" and name[-1] == ">":
            # What merely begins with the closing tag closes; what follows counts again.
            end = f"</{name[1:]}"
            begin = n
            while n < len(lines) and not lines[n].lstrip(_BLANKS).startswith(end):
                n += 1
            if n == len(lines):
                yield Wrong(number, f"{name[:40]!a} is never closed")
            yield Block(number, name[1:-1], lines[begin:n])
            n += 1
            continue
        if name == "setenv" and found[1:2] == ["opt"] and len(found) > 2:
            found = found[2:]  # the directive that follows, which need not be known
            name = found[0]
        yield Line(number, name[2:] if name.startswith("--") and len(name) > 2 else name, found[1:])


def lines_of(text: str) -> list[str]:
    """A text's lines, whatever system wrote it."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
