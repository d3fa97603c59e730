# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjail _complete profiles`: what the shells' completions ask; not for people.

Never starts a helper and never asks for a password. Root reads the names of the profiles from the
disk, where nobody else may look. Everybody else is told what the helper tells anybody, if one
runs; and if none does, the profiles that are up, since their names stand in /run. So a user whose
helper has not run since the machine was started is offered no names: better than a TAB key that
starts a daemon.

As little as possible is imported: it runs at every press of a key.
"""

from __future__ import annotations

import posix
import sys

from netjail import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_SECONDS = 0.5
"""How long a person may be kept waiting for names."""
_ANSWER_MAX = 1 << 20


def main(words: Sequence[str]) -> int:
    """Print what `words` ask for, one a line. Exit status: 0, or 2 for what nobody knows."""
    if list(words) != ["profiles"]:
        return names.EXIT_USAGE
    sys.stdout.write("".join(f"{name}\n" for name in profiles()))
    return 0


def profiles() -> list[str]:
    """The names of the profiles, as far as this user may know them, sorted."""
    stored = _stored() if posix.geteuid() == 0 else _told()
    found = _up() if stored is None else stored
    return sorted(name for name in found if names.valid_name(name))


def _stored() -> list[str] | None:
    try:
        files = posix.listdir(names.PROFILE_DIR)
    except OSError:
        return None
    return [file[: -len(".toml")] for file in files if file.endswith(".toml")]


def _up() -> list[str]:
    try:
        return posix.listdir(names.VIEW_DIR)
    except OSError:
        return []


def _told() -> list[str] | None:
    """What a helper that runs says; None where none does, or not in time."""
    try:
        posix.stat(names.SOCKET)  # the imports below take a while
    except OSError:
        return None
    import json
    import socket

    request = json.dumps({"v": names.PROTOCOL, "id": 1, "method": "list", "params": {}})
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
                        return [profile["name"] for profile in answer["result"]["profiles"]]
                    if "error" in answer:
                        return None
                if not part:
                    return None
                data = rest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
