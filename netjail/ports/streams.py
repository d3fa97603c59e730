# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP: connections that come in on one side, each joined to one that goes out on the other.

What is read on one side and not taken by the other is kept, and nothing more read until it is: at
most one buffer for each direction. A side that says no more (FIN) has that passed on, and may
still be answered; one that breaks off (RST) breaks off the other.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence

from netjail.ports.loop import Loop

Target = tuple[int, object]
"""Family, and what connect(2) takes."""
Maker = Callable[[int, int], socket.socket]
"""(family, type) -> a socket on the side where connections go out."""

PER_PORT = 512
"""Connections of one port; whoever comes after that waits until one ends."""
ACCEPTS = 64
"""Connections taken at a time, so that those that are there get their turn."""
CONNECT_SECONDS = 30.0
_CHUNK = 1 << 18
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_ENDS = select.EPOLLHUP | select.EPOLLERR
_BREAK_OFF = struct.pack("ii", 1, 0)
_LATER = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_buffer = memoryview(bytearray(_CHUNK))


class Pair:
    """Two sockets, 0 where it came in and 1 where it goes out."""

    def __init__(self, loop: Loop, near: socket.socket, port: StreamPort) -> None:
        self._loop = loop
        self._port = port
        self._near = near
        self._far: socket.socket | None = None
        self._left = list(port.targets)
        self._connecting = True
        self.begun = time.monotonic()
        self._pending: list[bytes | memoryview] = [b"", b""]
        self._eof = [False, False]
        self._told = [False, False]
        self._closed = False

    # Going out ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Connect."""
        self._next()

    def _next(self) -> None:
        """Try the next address; break off where there is none left."""
        while self._left:
            family, address = self._left.pop(0)
            try:
                self._far = far = self._port.make(family, socket.SOCK_STREAM)
                far.setblocking(False)
                _keep_alive(far)
                failed = far.connect_ex(address)  # type: ignore[arg-type]
            except OSError:
                self._drop_far()
                continue
            if failed in (0, errno.EINPROGRESS):
                self._loop.watch(far.fileno(), self._far_ready, _OUT)
                return
            self._drop_far()
        self.end(broken=True)

    def _drop_far(self) -> None:
        if self._far is not None:
            self._loop.forget(self._far.fileno())
            self._far.close()
            self._far = None

    def overdue(self, now: float) -> None:
        """Nobody answers for ever."""
        if self._connecting and now - self.begun > CONNECT_SECONDS and not self._closed:
            self._drop_far()
            self.end(broken=True)

    def _far_ready(self, events: int) -> None:
        if not self._connecting:
            self._ready(1, events)
            return
        assert self._far is not None
        if self._far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop_far()
            self._next()
            return
        self._connecting = False
        self._want()

    # Both ways ---------------------------------------------------------------------------------

    def _near_ready(self, events: int) -> None:
        self._ready(0, events)

    def _ready(self, side: int, events: int) -> None:
        try:
            if events & (_OUT | _ENDS) and self._pending[1 - side]:
                self._send(1 - side)
            if events & (_IN | _ENDS) and not self._eof[side] and not self._pending[side]:
                self._read(side)
            self._tell()
        except BlockingIOError:
            pass
        except OSError:
            self.end(broken=True)
            return
        if self._told[0] and self._told[1]:
            self.end()
        elif not self._closed:
            self._want()

    def _sock(self, side: int) -> socket.socket:
        sock = self._far if side else self._near
        assert sock is not None
        return sock

    def _read(self, side: int) -> None:
        count = self._sock(side).recv_into(_buffer)
        if not count:
            self._eof[side] = True
            return
        sent = 0
        try:
            sent = self._sock(1 - side).send(_buffer[:count])
        except BlockingIOError:
            pass
        if sent < count:
            self._pending[side] = memoryview(bytes(_buffer[sent:count]))

    def _send(self, side: int) -> None:
        """What has come in at `side`, to the other."""
        pending = self._pending[side]
        self._pending[side] = pending[self._sock(1 - side).send(pending) :] or b""

    def _tell(self) -> None:
        """Pass on that a side says no more."""
        for side in (0, 1):
            if self._eof[side] and not self._pending[side] and not self._told[side]:
                self._told[side] = True
                try:
                    self._sock(1 - side).shutdown(socket.SHUT_WR)
                except OSError as error:
                    if error.errno != errno.ENOTCONN:  # it has gone meanwhile, which is an end, too
                        raise

    def _want(self) -> None:
        for side, handler in ((0, self._near_ready), (1, self._far_ready)):
            events = 0
            if not self._eof[side] and not self._pending[side]:
                events |= _IN
            if self._pending[1 - side]:
                events |= _OUT
            self._loop.watch(self._sock(side).fileno(), handler, events)

    def end(self, broken: bool = False) -> None:
        """Close both. `broken`: by RST, so that neither takes it for the end of what was said."""
        if self._closed:
            return
        self._closed = True
        for sock in (self._near, self._far):
            if sock is None:
                continue
            if broken:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _BREAK_OFF)
                except OSError:
                    pass
            self._loop.forget(sock.fileno())
            sock.close()
        self._port.ended(self)


def _keep_alive(sock: socket.socket) -> None:
    """So that one whose other end has vanished goes, some time."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class StreamPort:
    """Sockets that listen, and what has come in by them."""

    def __init__(
        self,
        loop: Loop,
        sockets: Sequence[socket.socket],
        targets: Sequence[Target],
        make: Maker,
    ) -> None:
        self._loop = loop
        self._sockets = list(sockets)
        self.targets = tuple(targets)
        self.make = make
        self._pairs: set[Pair] = set()
        self.served = 0
        self._accepting = False
        for sock in self._sockets:
            sock.setblocking(False)
        self._accept(True)

    @property
    def connections(self) -> int:
        """That are open now."""
        return len(self._pairs)

    def _accept(self, on: bool) -> None:
        if on != self._accepting:
            self._accepting = on
            for sock in self._sockets:
                self._loop.watch(sock.fileno(), lambda _, sock=sock: self._come(sock), _IN * on)  # type: ignore[misc]

    def _come(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS):
            if len(self._pairs) >= PER_PORT:
                self._accept(False)
                return
            try:
                near, _address = sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _LATER:
                    self._accept(False)  # the next tick begins again
                    return
                continue  # it has gone again
            near.setblocking(False)
            _keep_alive(near)
            self.served += 1
            pair = Pair(self._loop, near, self)
            self._pairs.add(pair)
            pair.begin()

    def ended(self, pair: Pair) -> None:
        """Told by a pair that is closed."""
        self._pairs.discard(pair)
        if not self._accepting and self._sockets and len(self._pairs) < PER_PORT:
            self._accept(True)

    def tick(self, now: float) -> None:
        """Now and then."""
        for pair in list(self._pairs):
            pair.overdue(now)
        if not self._accepting and self._sockets and len(self._pairs) < PER_PORT:
            self._accept(True)

    def close(self) -> None:
        """Listen no more, and break off what there is."""
        self._accept(False)
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            self._loop.forget(sock.fileno())
            sock.close()
        for pair in list(self._pairs):
            pair.end(broken=True)
