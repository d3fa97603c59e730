# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches over the helper's lock and socket: where somebody deletes /run/netjail by hand, it is
made again, before another helper, which knows nothing of what is up, takes our place."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Callable

from netjail import names
from netjail.daemon import log
from netjail.daemon.directory import make_directory
from netjail.daemon.loop import READ, Loop, Timer
from netjail.daemon.socket_face import SocketFace
from netjail.errors import NetjailError

SETTLE_SECONDS = 0.05
"""From the first deletion to the look: `rm -r` is to be done by then."""
AGAIN_SECONDS = 1.0
_IN_DELETE, _IN_MOVED_FROM, _IN_DELETE_SELF, _IN_MOVE_SELF = 0x200, 0x40, 0x400, 0x800
_EVENTS = _IN_DELETE | _IN_MOVED_FROM | _IN_DELETE_SELF | _IN_MOVE_SELF


class Home:
    """On the main loop's thread. `lost` is called once all is in place again, for what else
    stood there."""

    def __init__(self, loop: Loop, face: SocketFace, lock: int, lost: Callable[[], None]) -> None:
        self._loop = loop
        self._face = face
        self._lock = lock
        self._lost = lost
        self._timer: Timer | None = None
        self._watch = _inotify_init()
        if self._watch >= 0:
            loop.add(self._watch, READ, self._changed)
            _inotify_watch(self._watch, names.RUN_DIR)

    def _changed(self, _events: int) -> None:
        try:
            while os.read(self._watch, 65536):
                pass
        except BlockingIOError:
            pass
        self._look_in(SETTLE_SECONDS)

    def _look_in(self, seconds: float) -> None:
        if self._timer is None or not self._timer.active:
            self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        if not self._face.listening or (self._is_locked() and self._face.in_place):
            return
        try:
            make_directory(names.RUN_DIR)
            if not self._is_locked() and not self._lock_again():
                self._look_in(AGAIN_SECONDS)  # another helper was faster; it will end when idle
                return
            self._face.stop_listening()
            self._face.listen()
            _log_again()
        except (NetjailError, OSError) as error:
            log.error(f"{names.RUN_DIR} was deleted, and cannot be made again: {error}")
            self._look_in(AGAIN_SECONDS)
            return
        log.warning(f"{names.RUN_DIR} was deleted by somebody: made again")
        _inotify_watch(self._watch, names.RUN_DIR)
        self._lost()

    def _is_locked(self) -> bool:
        try:
            there = os.stat(names.HELPER_LOCK, follow_symlinks=False)
        except OSError:
            return False
        ours = os.fstat(self._lock)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _lock_again(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(names.HELPER_LOCK, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        os.close(self._lock)
        self._lock = fd
        return True


def _log_again() -> None:
    """Where our log was deleted, go on in a new one."""
    if os.readlink("/proc/self/fd/2") != f"{names.HELPER_LOG} (deleted)":
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(names.HELPER_LOG, flags, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def _inotify_init() -> int:
    """An inotify(7) descriptor, or -1 where there is none to be had."""
    flags = os.O_NONBLOCK | os.O_CLOEXEC
    return int(ctypes.CDLL(None).inotify_init1(flags))


def _inotify_watch(fd: int, path: str) -> None:
    ctypes.CDLL(None).inotify_add_watch(fd, os.fsencode(path), _EVENTS)
