# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes on what happens by itself: processes that end, the host's networks that change. All on the
main loop's thread; what is seen is told by a call, nothing is done about it here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial

from netjail.daemon import log
from netjail.daemon.loop import READ, Loop, Timer

# linux/rtnetlink.h; the socket module has no names for them.
RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV4_ROUTE = 0x40
RTMGRP_IPV6_IFADDR = 0x100
RTMGRP_IPV6_ROUTE = 0x400

SETTLE_SECONDS = 0.3
"""Changes of the host's networks come in bursts: wait for a pause of this length,"""
SETTLE_MOST = 2.0
"""but not longer than this."""


class Deaths:
    """Tells of the end of processes, by pidfd. Each belongs to a group: the jail's name."""

    def __init__(self, loop: Loop, ended: Callable[[str, int], None]) -> None:
        """`ended(group, pid)`; the process is no longer in the group then."""
        self._loop = loop
        self._ended = ended
        self._groups: dict[str, dict[int, int]] = {}

    def add(self, group: str, pid: int, alive: Callable[[], bool] = lambda: True) -> bool:
        """Watch a process. False: it is gone already. `alive` is asked once its pid is held fast,
        whether it still is the one meant."""
        members = self._groups.setdefault(group, {})
        if pid in members:
            return True
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            fd = -1
        except OSError as error:
            log.error(f"{group}: cannot watch process {pid}: {error.strerror}")
            return True
        if fd < 0 or not alive():
            if fd >= 0:
                os.close(fd)
            if not members:
                del self._groups[group]
            return False
        members[pid] = fd
        self._loop.add(fd, READ, partial(self._readable, group, pid))
        return True

    def drop(self, group: str) -> None:
        """Watch nothing of a group any more."""
        for fd in self._groups.pop(group, {}).values():
            self._forget(fd)

    def pids(self, group: str) -> set[int]:
        return set(self._groups.get(group, ()))

    def _readable(self, group: str, pid: int, _events: int) -> None:
        members = self._groups[group]
        self._forget(members.pop(pid))
        if not members:
            del self._groups[group]
        try:
            os.waitpid(pid, os.WNOHANG)  # it may be a child of ours
        except ChildProcessError:
            pass
        self._ended(group, pid)

    def _forget(self, fd: int) -> None:
        self._loop.remove(fd)
        os.close(fd)


class HostNetworks:
    """Tells when addresses or routes of the host have changed, once they have settled."""

    def __init__(self, loop: Loop, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._changed = changed
        self._timer: Timer | None = None
        self._latest = 0.0
        self._socket: socket.socket | None = None
        try:
            self._socket = self._open()
        except OSError as error:
            log.warning(f"cannot watch the host's networks: {error.strerror}")
            return
        loop.add(self._socket.fileno(), READ, self._readable)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._loop.remove(self._socket.fileno())
            self._socket.close()
            self._socket = None

    @staticmethod
    def _open() -> socket.socket:
        sock = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            socket.NETLINK_ROUTE,
        )
        groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE
        try:
            sock.bind((0, groups))
        except OSError:
            sock.close()
            raise
        return sock

    def _readable(self, _events: int) -> None:
        assert self._socket is not None
        try:
            # What they say does not matter, only that there were some.
            for _ in range(64):
                self._socket.recv(65536)
        except OSError:
            pass  # no more for now; or ENOBUFS: so many that the kernel dropped some
        if self._timer is None or not self._timer.active:
            self._timer = self._loop.call_later(SETTLE_SECONDS, self._settled)
            self._latest = self._timer.when + SETTLE_MOST
        elif self._timer.when + SETTLE_SECONDS < self._latest:
            self._timer.cancel()
            self._timer = self._loop.call_later(SETTLE_SECONDS, self._settled)

    def _settled(self) -> None:
        self._changed()
