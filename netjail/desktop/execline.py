# SPDX-License-Identifier: GPL-3.0-or-later
"""Exec lines of desktop entries: from the text of a file to the words of a program.

Quoting is that of the Desktop Entry Specification 1.5, and where it leaves a line undefined (single
quotes, a backslash outside of quotes), what GLib makes of it: real entries use both. No shell is
asked, and what a user opens never becomes part of one's script.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass

from netjail.errors import NetjailError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from netjail.desktop.entries import Entry

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_GONE = frozenset("dDnNvm")
"""Field codes of old, which mean nothing any more."""
_SEVERAL = frozenset("FU")
_SINGLE = frozenset("fu")
_QUOTED = frozenset('"`$\\')
"""What a backslash protects inside of double quotes."""
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "mksh", "ash"})


class ExecError(Exception):
    """The line is not of the right form; the text says why."""


@dataclass(frozen=True, slots=True)
class Word:
    """One argument, its quotes removed. A `%` in it is still the beginning of a field code."""

    text: str

    @property
    def code(self) -> str:
        """The field code that is all of it, or ""."""
        return self.text[1] if len(self.text) == 2 and self.text[0] == "%" else ""


def split(line: str) -> list[Word]:
    """The arguments of a line. Raises ExecError."""
    words: list[Word] = []
    text: list[str] = []
    inside = ""
    begun = False
    at, end = 0, len(line)
    while at < end:
        char = line[at]
        at += 1
        if inside == "'":
            if char == "'":
                inside = ""
            else:
                text.append(char)
        elif char == "\\":
            if at >= end:
                raise ExecError("it ends with a backslash")
            if inside and line[at] not in _QUOTED:
                text.append(char)
            text.append(line[at])
            begun = True
            at += 1
        elif inside:
            if char == '"':
                inside = ""
            else:
                text.append(char)
        elif char in "\"'":
            inside, begun = char, True
        elif char in " \t\n":
            if begun:
                words.append(Word("".join(text)))
                text, begun = [], False
        else:
            text.append(char)
            begun = True
    if inside:
        raise ExecError(f"a quote ({inside}) is not closed")
    if begun:
        words.append(Word("".join(text)))
    return words


def codes(text: str) -> list[str]:
    """The field codes in a word, `%` for `%%`. Raises ExecError."""
    found = []
    at = text.find("%")
    while at >= 0:
        if at + 1 >= len(text):
            raise ExecError("it ends with a single %")
        found.append(text[at + 1])
        at = text.find("%", at + 2)
    return found


def program(line: str) -> str:
    """The base name of the program that a line starts, "" where that cannot be told.

    Looks through `env NAME=VALUE`.
    """
    try:
        words = [word.text for word in split(line)]
    except ExecError:
        return ""
    if words and os.path.basename(words[0]) == "env":
        words = words[1:]
        while words and ("=" in words[0] or words[0].startswith("-")):
            words = words[1:]
    return os.path.basename(words[0].replace("%%", "%")) if words else ""


def expand(entry: Entry, uris: Sequence[str], action: str | None = None) -> list[str]:
    """The command that opens all of `uris` (URIs, paths or other words; may be empty).

    Raises NetjailError: "no-such-application" where the entry cannot be used, "usage" where it
    takes one at a time (see `commands`) or not of this kind.
    """
    found = commands(entry, uris, action)
    if len(found) > 1:
        raise NetjailError(
            "usage",
            f"{entry.name} opens one file at a time, and {len(found)} are named",
            "Start it once for each of them.",
        )
    return found[0]


def commands(entry: Entry, uris: Sequence[str], action: str | None = None) -> list[list[str]]:
    """The same, as many commands as the entry needs: one for each where it takes but one."""
    line = entry.exec if action is None else entry.action(action).exec
    if not line:
        raise _unusable(entry, "there is no command in it, it is started over the session bus")
    try:
        words = split(line)
        used = [code for word in words for code in codes(word.text)]
        _check(words, used)
        if not words:
            raise ExecError("it is empty")
        if uris and not _SINGLE.union(_SEVERAL).intersection(used):
            # the application does not say that it opens anything; GLib appends it all the same
            words.append(Word("%F"))
            used.append("F")
        if len(uris) > 1 and _SINGLE.intersection(used) and not _SEVERAL.intersection(used):
            return [_expand(entry, words, [uri]) for uri in uris]
        return [_expand(entry, words, uris)]
    except ExecError as error:
        raise _unusable(entry, f"Exec={line} is malformed: {error}") from None


def _unusable(entry: Entry, why: str) -> NetjailError:
    return NetjailError("no-such-application", f"{entry.path} cannot be started: {why}")


def _check(words: list[Word], used: list[str]) -> None:
    if words and set(codes(words[0].text)) - {"%"}:
        raise ExecError("a field code stands where the program should")
    for code in used:
        if code not in "fFuUick%" and code not in _GONE:
            raise ExecError(f"%{code} is no field code")
    for word in words:
        within = codes(word.text)
        if not word.code and ("F" in within or "U" in within or "i" in within):
            raise ExecError("%F, %U and %i must be arguments of their own")


def _expand(entry: Entry, words: list[Word], uris: Sequence[str]) -> list[str]:
    result: list[str] = []
    script = False
    shell = os.path.basename(words[0].text) in _SHELLS
    for word in words:
        code = word.code
        if code in _SEVERAL:
            result += [_argument(entry, code, uri) for uri in uris]
        elif code in _SINGLE:
            result += [_argument(entry, code, uri) for uri in uris[:1]]
        elif code == "i":
            result += ["--icon", entry.icon] if entry.icon else []
        elif code in _GONE and code:
            pass
        else:
            if script and uris and _SINGLE.intersection(codes(word.text)):
                raise ExecError("it puts what it opens into a shell's script")
            result.append(_inline(entry, word.text, uris))
        script = shell and word.text == "-c"
    return result


def _inline(entry: Entry, text: str, uris: Sequence[str]) -> str:
    """A word with field codes in the middle of it."""
    if "%" not in text:
        return text
    parts: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char != "%":
            parts.append(char)
            at += 1
            continue
        code = text[at + 1]
        at += 2
        if code == "%":
            parts.append("%")
        elif code == "c":
            parts.append(entry.name)
        elif code == "k":
            parts.append(entry.path)
        elif code in _SINGLE and uris:
            parts.append(_argument(entry, code, uris[0]))
    return "".join(parts)


def _argument(entry: Entry, code: str, uri: str) -> str:
    """What a program gets: a path for %f and %F, a URI for %u and %U.

    A word that is neither (an option, "example.org") is handed on as it is.
    """
    path = local(uri)
    if code in "fF":
        if path is not None:
            return path
        if is_uri(uri):
            raise NetjailError(
                "usage", f"{entry.name} opens files only, and {uri} is none", "Download it first."
            )
        return uri
    if is_uri(uri) or path is None:
        return uri
    return "file://" + urllib.parse.quote(os.fsencode(path))


def is_uri(text: str) -> bool:
    """Whether it begins with a scheme, and is not the name of a file that looks like that."""
    return _URI.match(text) is not None and not os.path.lexists(text)


def local(text: str) -> str | None:
    """The path that a word means: of a file:// URI, or of a file that exists. None: no file."""
    if text[:5].lower() == "file:" and is_uri(text):
        parts = urllib.parse.urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            return None
        path = os.fsdecode(urllib.parse.unquote_to_bytes(parts.path))
        return path if path.startswith("/") and "\0" not in path else None
    if text.startswith("/"):
        return text
    if text and not text.startswith("-") and os.path.lexists(text):
        return os.path.abspath(text)
    return None
