# SPDX-License-Identifier: GPL-3.0-or-later
"""`netjaild --cleanup`: what systemd runs after the helper has ended, however it did.

Removes what is ours and what nobody can use: jails that were half made or half undone, and the
socket that nobody serves. A jail that may be entered stays, whether programs are inside or not:
it is up because somebody wanted it up, and the next helper adopts it. While a helper runs there
is nothing to clean, and nothing is touched.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat

from netjail import names
from netjail.daemon import log
from netjail.daemon.rooms import Rooms
from netjail.errors import NetjailError


def run(rooms: Rooms, path: str = names.SOCKET) -> int:
    """Clean up. Exit status: 0, or 1 when something could not be undone."""
    if not os.path.isdir(names.RUN_DIR):
        return 0
    lock = _lock()
    if lock is None:
        log.info("cleanup: a helper is running, so there is nothing to do")
        return 0
    try:
        status = _undo_halves(rooms) if rooms.standing() else 0
        _remove_socket(path)
        _remove_empty(names.JAILS_DIR)
        _remove_empty(names.VIEW_DIR)
        return status
    finally:
        os.close(lock)


def _lock() -> int | None:
    """The helper's lock, so that none starts meanwhile; None if one runs."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(names.HELPER_LOCK, flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _undo_halves(rooms: Rooms) -> int:
    try:
        found = rooms.engine.start()
    except NetjailError as error:
        log.error(f"cleanup: {error}")
        return 1
    up = [adopted.name for adopted in found if adopted.state != "stuck"]
    stuck = [adopted for adopted in found if adopted.state == "stuck"]
    if up:
        log.info(f"cleanup: still up: {', '.join(sorted(up))}")
    for adopted in stuck:
        log.error(f"cleanup: {adopted.name}: {adopted.reason}; the next helper tries again")
    return 1 if stuck else 0


def _remove_socket(path: str) -> None:
    """Remove the socket if it is one and nobody serves it (a helper elsewhere may)."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError:
        pass


def _remove_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        pass  # in use, or never made
