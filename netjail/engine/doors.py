# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's directories with sockets of its resolvers, which every jail covers.

A path socket is not cut off by a network namespace, so a launch mounts something harmless over
these directories. Two things could open the door again behind a running program's back, and are
seen to here while any jail is up:

- a directory that does not exist yet cannot be covered, so it is made, empty;
- a directory that the host removes and makes again (as systemd does with a RuntimeDirectory=)
  sheds what other mount namespaces have mounted on it. One that is a mount point in the host's
  own namespace cannot be removed (EBUSY), so each is bound to itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from netjail import names
from netjail.engine import files
from netjail.errors import NetjailError
from netjail.launch import syscalls

DOORS = (
    ("/run/systemd/resolve", "resolve", "/run/systemd"),
    ("/run/nscd", "empty", "/run"),
    ("/run/avahi-daemon", "empty", "/run"),
)
"""(directory of the host, what the view shows there, the directory in which it could appear)."""
_lock = threading.Lock()
_marks: set[str] = set()
"""Of those that stand on disk, what this helper knows."""


def hold() -> None:
    """Make and pin what is missing or loose. Idempotent. Raises NetjailError."""
    with _lock:
        for path, _, parent in DOORS:
            if not os.path.isdir(parent):
                continue
            _marks.update(
                m for m in (_mark("made", path), _mark("pinned", path)) if os.path.exists(m)
            )
            if not os.path.lexists(path):
                _write(_mark("made", path))
                files.directory(path)
            if os.path.isdir(path) and not syscalls.is_mount_point(path):
                _write(_mark("pinned", path))
                _pin(path)


def mark_again() -> None:
    """Put back the marks that somebody has deleted."""
    with _lock:
        for mark in _marks:
            files.write(mark, "")


def release(needed: Callable[[], bool]) -> None:
    """After the last jail: give back what `hold` did, by its marks, unless it is in use now.

    `needed` is asked under the lock: a jail that comes up at the same time keeps its doors shut.
    """
    with _lock:
        if needed():
            return
        for path, _, _ in DOORS:
            _undo("pinned", path, _unpin)
            _undo("made", path, os.rmdir)


def _pin(path: str) -> None:
    try:
        syscalls.mount(path, path, None, syscalls.MS_BIND, None)
    except OSError as error:
        raise NetjailError("system", f"cannot pin {path}: {error.strerror}") from error


def _unpin(path: str) -> None:
    syscalls.umount2(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)


def _undo(mark: str, path: str, undo: Callable[[str], None]) -> None:
    marked = _mark(mark, path)
    _marks.discard(marked)
    if os.path.exists(marked):
        for act, what in ((undo, path), (os.unlink, marked)):
            try:
                act(what)
            except OSError:  # the resolver it was made for has come: it is theirs now
                pass


def _write(mark: str) -> None:
    files.write(mark, "")
    _marks.add(mark)


def _mark(what: str, path: str) -> str:
    return f"{names.RUN_DIR}/{what}{path.replace('/', '-')}"
