# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when files are written to, by inotify(7). On the main loop's thread."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterable

from netjail.daemon import log
from netjail.daemon.loop import READ, Loop

_IN_MODIFY = 0x2
_EVENT = struct.Struct("=iIII")  # watch, mask, cookie, length of a name that follows


class FileWatch:
    def __init__(self, loop: Loop, changed: Callable[[str], None]) -> None:
        """`changed(group)` is called for each burst of writes to the files of a group."""
        self._loop = loop
        self._changed = changed
        self._fd = -1
        self._groups: dict[int, str] = {}

    def add(self, group: str, paths: Iterable[str]) -> None:
        """Watch files; those of the group from before as well. One that is gone is left out."""
        for path in paths:
            try:
                watch = self._libc("inotify_add_watch", self._open(), path.encode(), _IN_MODIFY)
            except OSError as error:
                log.warning(f"{group}: cannot watch {path}: {error.strerror}")
                continue
            self._groups[watch] = group

    def drop(self, group: str) -> None:
        """Watch nothing of a group any more."""
        for watch in [w for w, g in self._groups.items() if g == group]:
            del self._groups[watch]
            try:
                self._libc("inotify_rm_watch", self._fd, watch)
            except OSError:  # the file is gone, and its watch with it
                pass

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = self._libc("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
            self._loop.add(self._fd, READ, self._readable)
        return self._fd

    def _readable(self, _events: int) -> None:
        changed: dict[str, None] = {}
        try:
            # Once: whoever writes without a pause must not keep us here.
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        offset = 0
        while offset + _EVENT.size <= len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size + length
            group = self._groups.get(watch)
            if group is not None and mask & _IN_MODIFY:
                changed[group] = None
        for group in changed:
            self._changed(group)

    @staticmethod
    def _libc(name: str, *arguments: object) -> int:
        result = int(getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
