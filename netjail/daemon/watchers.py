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
RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE = 5, 7
RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE = 9, 11
NFNLGRP_NFTABLES = 7
_NETLINK_NETFILTER, _SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 12, 270, 1

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
    """Tells when addresses, routes or nftables rules of the host have changed, once they have
    settled. Rules, because `nft flush ruleset` takes ours along."""

    def __init__(self, loop: Loop, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._changed = changed
        self._timer: Timer | None = None
        self._latest = 0.0
        self._sockets: list[socket.socket] = []
        for protocol, groups in (
            (socket.NETLINK_ROUTE, (RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE)),
            (socket.NETLINK_ROUTE, (RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE)),
            (_NETLINK_NETFILTER, (NFNLGRP_NFTABLES,)),
        ):
            try:
                opened = self._open(protocol, groups)
            except OSError as error:
                log.warning(f"cannot watch the host's networks: {error.strerror}")
                continue
            self._sockets.append(opened)
            loop.add(opened.fileno(), READ, partial(self._readable, opened))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        while self._sockets:
            opened = self._sockets.pop()
            self._loop.remove(opened.fileno())
            opened.close()

    @staticmethod
    def _open(protocol: int, groups: tuple[int, ...]) -> socket.socket:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        opened = socket.socket(socket.AF_NETLINK, kind, protocol)
        try:
            opened.bind((0, 0))
            for group in groups:
                opened.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        except OSError:
            opened.close()
            raise
        return opened

    def _readable(self, opened: socket.socket, _events: int) -> None:
        try:
            # What they say does not matter, only that there were some.
            for _ in range(64):
                opened.recv(65536)
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
