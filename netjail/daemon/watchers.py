# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes on what happens by itself: processes that end, the host's networks that change. All on the
main loop's thread; what is seen is told by a call, nothing is done about it here.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from functools import partial

from netjail import names
from netjail.daemon import log
from netjail.daemon.loop import READ, Loop, Timer

# linux/rtnetlink.h; the socket module has no names for them.
RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE = 1, 5, 7
RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE = 9, 11
NFNLGRP_NFTABLES = 7
_NETLINK_NETFILTER, _SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 12, 270, 1
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_DELADDR = 16, 17, 20, 21
_IFLA_IFNAME = 3
_CARRIER = 0x10041
"""IFF_UP, IFF_RUNNING, IFF_LOWER_UP of linux/if.h."""
_RTA_OIF, _RTA_TABLE = 4, 15
_HEADER, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
_OUR_TABLES = 0x6E6A
"""Upper half of the numbers of the routing tables that the engine makes (engine.pinned)."""
_PORT = 0x40000000
_OURS_MOST = 65536
"""Interfaces to remember."""

GATHER_SECONDS = 0.05
"""Between the first message and a look at all that have come."""
_SO_RCVBUFFORCE, _GATHERED = 33, 4 << 20
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
        self._ours: dict[int, bool] = {}
        """By index, which no other interface is given again: also of those that have gone."""
        self._carriers: dict[int, int] = dict(_carriers())
        for protocol, groups in (
            (socket.NETLINK_ROUTE, (RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE)),
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
            try:
                # Not our pid: that stays free for the engine's libnftables, and tells its changes.
                opened.bind((os.getpid() | _PORT, 0))
            except OSError:
                opened.bind((0, 0))
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _GATHERED)
            for group in groups:
                opened.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        except OSError:
            opened.close()
            raise
        return opened

    def _readable(self, opened: socket.socket, _events: int) -> None:
        """Let them gather: a worker that is just making a jail would lose the interpreter's lock to
        us at every single one."""
        self._loop.remove(opened.fileno())
        self._loop.call_later(GATHER_SECONDS, partial(self._drain, opened))

    def _drain(self, opened: socket.socket) -> None:
        if opened not in self._sockets:
            return  # closed meanwhile
        self._loop.add(opened.fileno(), READ, partial(self._readable, opened))
        matters = self._matters if opened.proto == socket.NETLINK_ROUTE else _by_others
        seen = False
        try:
            for _ in range(4096):
                data = opened.recv(65536)
                seen = seen or matters(data)
        except BlockingIOError:
            pass  # no more for now
        except OSError:
            seen = True  # ENOBUFS: so many that the kernel dropped some
        if seen:
            self._wait()

    def _matters(self, data: bytes) -> bool:
        """Whether any of these addresses and routes is not of an interface that we made.

        Each jail that comes or goes brings a dozen that are: to follow them would cost more with
        every jail that is up.
        """
        plugged = self._plugged(data)
        changed = any(index is None or not self._is_ours(index) for index in _interfaces(data))
        return plugged or changed

    def _plugged(self, data: bytes) -> bool:
        """Whether a cable, or what stands for one, was plugged or unplugged. All else that is said
        of links (counters, scans for networks) is of no interest."""
        seen = False
        for index, flags, name in _links(data):
            if name.startswith(names.HOST_IF_PREFIX.encode()):
                continue
            seen = seen or self._carriers.get(index, flags) != flags
            if len(self._carriers) >= _OURS_MOST:
                self._carriers.clear()
            self._carriers[index] = flags
        return seen

    def _is_ours(self, index: int) -> bool:
        known = self._ours.get(index)
        if known is None:
            try:
                known = socket.if_indextoname(index).startswith(names.HOST_IF_PREFIX)
            except OSError:
                return False  # gone before we knew it
            if len(self._ours) >= _OURS_MOST:
                self._ours.clear()
            self._ours[index] = known
        return known

    def _wait(self) -> None:
        if self._timer is None or not self._timer.active:
            self._timer = self._loop.call_later(SETTLE_SECONDS, self._settled)
            self._latest = self._timer.when + SETTLE_MOST
        elif self._timer.when + SETTLE_SECONDS < self._latest:
            self._timer.cancel()
            self._timer = self._loop.call_later(SETTLE_SECONDS, self._settled)

    def _settled(self) -> None:
        self._changed()


def _interfaces(data: bytes) -> Iterator[int | None]:
    """The interface of each address or route in a datagram; None where it is not one alone. Routes
    in tables of ours are left out."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if kind in (_RTM_NEWADDR, _RTM_DELADDR):
            yield _u32(data[offset + 20 : offset + 24])  # ifa_index
        elif kind not in (_RTM_NEWLINK, _RTM_DELLINK):
            values = dict(_attributes(data, offset + 28, offset + length))  # after struct rtmsg
            if _u32(values.get(_RTA_TABLE, b"")) >> 16 != _OUR_TABLES:
                yield _u32(values[_RTA_OIF]) if _RTA_OIF in values else None
        offset += max(length + 3 & ~3, _HEADER.size)


def _kinds(data: bytes) -> Iterator[int]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        yield kind
        offset += max(length + 3 & ~3, _HEADER.size)


def _links(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(index, flags of its carrier, name) of each link in a datagram."""
    offset = 0
    while offset + 32 <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if kind == _RTM_NEWLINK:  # struct ifinfomsg: index and flags
            values = dict(_attributes(data, offset + 32, offset + length))
            flags = _u32(data[offset + 24 : offset + 28]) & _CARRIER
            yield _u32(data[offset + 20 : offset + 24]), flags, values.get(_IFLA_IFNAME, b"")
        offset += max(length + 3 & ~3, _HEADER.size)


def _carriers() -> Iterator[tuple[int, int]]:
    """(index, flags of its carrier) of the links that there are."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    try:
        with socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE) as asked:
            asked.settimeout(2)
            asked.sendall(_HEADER.pack(32, _RTM_NEWLINK + 2, 0x301, 1, 0) + bytes(16))
            while True:
                data = asked.recv(1 << 20)
                yield from ((index, flags) for index, flags, _ in _links(data))
                if not data or any(kind != _RTM_NEWLINK for kind in _kinds(data)):
                    return  # NLMSG_DONE, in a datagram of its own or not, or an error
    except OSError:
        return


def _attributes(data: bytes, offset: int, end: int) -> Iterator[tuple[int, bytes]]:
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        yield kind, data[offset + 4 : offset + length]
        offset += max(4, length + 3 & ~3)


def _u32(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder)


def _by_others(data: bytes) -> bool:
    """Whether a change of nftables rules was not made by this process."""
    return len(data) < _HEADER.size or _HEADER.unpack_from(data)[4] != os.getpid()
