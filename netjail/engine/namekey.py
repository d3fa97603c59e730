# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's key for names that stand for profiles (see `uplinks.naming`): made once, root's."""

from __future__ import annotations

import os
import sys

from netjail import names
from netjail.engine import files
from netjail.errors import NetjailError
from netjail.uplinks import naming

_BYTES = 32


def use() -> None:
    """Derive names with it from now on."""
    naming.use_key(load())


def load(directory: str | None = None) -> bytes:
    """The key, which is made where there is none. b"" where none can be kept: a key that is lost
    with the helper would give what stands another name."""
    directory = directory or names.STATE_DIR
    path = f"{directory}/names.key"
    found = _read(path)
    if found is not None:
        return found
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        files.write(path, os.urandom(_BYTES).hex() + "\n", 0o600)
    except (NetjailError, OSError) as error:
        print(f"netjaild: names of interfaces have no key: {error}", file=sys.stderr)
    return _read(path) or b""


def _read(path: str) -> bytes | None:
    """None: there is none that is root's alone."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            key = bytes.fromhex(file.read(4 * _BYTES).decode())
    except (OSError, ValueError):
        return None
    alone = status.st_uid == os.geteuid() and not status.st_mode & 0o077
    return key if alone and len(key) == _BYTES else None
