# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail _complete profiles|switches`: what the shells' completions ask; not for people.

Never starts a helper and never asks for a password. Root reads the names from the disk, where
nobody else may look. Everybody else is told what the helper tells anybody, if one runs; and if none
does, the profiles that are up, since their names stand in /run. So a user whose helper has not run
since the machine was started is offered no names: better than a TAB key that starts a daemon.

As little as possible is imported: it runs at every press of a key.
"""

from __future__ import annotations

import posix
import sys

from netjail import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ANSWER_SECONDS = 0.5
"""How long a person may be kept waiting for names."""
_ANSWER_MAX = 1 << 20


def main(words: Sequence[str]) -> int:
    """Print what `words` ask for, one a line. Exit status: 0, or 2 for what nobody knows."""
    ask = _KNOWN.get(words[0]) if len(words) == 1 else None
    if ask is None:
        return names.EXIT_USAGE
    sys.stdout.write("".join(f"{name}\n" for name in ask()))
    return 0


def profiles() -> list[str]:
    """The names of the profiles, as far as this user may know them, sorted."""
    root = posix.geteuid() == 0
    stored = _stored(names.PROFILE_DIR) if root else _told("list", "profiles")
    return _sorted(_up() if stored is None else stored)


def switches() -> list[str]:
    """The names of the switches; none where no helper tells them, sorted."""
    root = posix.geteuid() == 0
    stored = _stored(names.SWITCH_DIR) if root else _told("switch.list", "switches")
    return _sorted(stored or ())


_KNOWN = {"profiles": profiles, "switches": switches}


def _sorted(found: Iterable[str]) -> list[str]:
    return sorted(name for name in found if names.valid_name(name))


def _stored(directory: str) -> list[str] | None:
    try:
        files = posix.listdir(directory)
    except OSError:
        return None
    return [file[: -len(".toml")] for file in files if file.endswith(".toml")]


def _up() -> list[str]:
    try:
        return posix.listdir(names.VIEW_DIR)
    except OSError:
        return []


def _told(method: str, what: str) -> list[str] | None:
    """The names in what a helper that runs says; None where none does, or not in time."""
    try:
        posix.stat(names.SOCKET)  # the imports below take a while
    except OSError:
        return None
    import json
    import socket

    request = json.dumps({"v": names.PROTOCOL, "id": 1, "method": method, "params": {}})
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(ANSWER_SECONDS)
            sock.connect(names.SOCKET)
            sock.sendall(request.encode() + b"\n")
            data = b""
            while len(data) < _ANSWER_MAX:
                part = sock.recv(65536)
                data += part
                *lines, rest = data.split(b"\n")
                for answer in map(json.loads, lines):
                    if "result" in answer:
                        return [each["name"] for each in answer["result"][what]]
                    if "error" in answer:
                        return None
                if not part:
                    return None
                data = rest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
