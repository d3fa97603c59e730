# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors on the clients' connections: ours go out with their line, theirs never come in.

A descriptor that a stranger passes is not safe to close: the last close of a socket that lingers,
of a file on somebody's FUSE, of a serial line may take as long as that somebody likes. So the
helper takes none (a program's go to the spawner's child, see launch.wire): it looks before it
reads, and what a connection still carries when it ends is thrown away in a thread of its own.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
import threading
from collections import deque
from collections.abc import Callable, Sequence


class CarriedError(Exception):
    """What would be read next has descriptors with it."""


def receive(sock: socket.socket, size: int) -> bytes:
    """As recv(2). Raises CarriedError before anything is read, OSError."""
    # Peeked at, descriptors stay where they are; that there are some shows by this flag.
    data, _, flags, _ = sock.recvmsg(size, 0, socket.MSG_PEEK)
    if flags & socket.MSG_CTRUNC:
        raise CarriedError
    return sock.recv(len(data)) if data else b""


def bury(sock: socket.socket, done: Callable[[], None] | None = None) -> bool:
    """Close a connection of a client. True: it is closed; False: a thread does it and then calls
    `done`."""
    try:
        sock.shutdown(socket.SHUT_RDWR)  # from here on nothing more comes
    except OSError:
        pass
    try:
        (unread,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))
    except OSError:
        unread = 1
    if unread:
        thread = threading.Thread(target=_close, args=(sock, done), name="burial", daemon=True)
        try:
            thread.start()
            return False
        except RuntimeError:
            pass  # no more threads to be had
    sock.close()
    return True


def _close(sock: socket.socket, done: Callable[[], None] | None) -> None:
    sock.close()
    if done is not None:
        done()


class Outbox:
    """What is still to be written to a client."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._sent = 0
        self._marks: deque[tuple[int, Sequence[int]]] = deque()
        """(position of a line since the beginning, descriptors that go with it)."""

    def __len__(self) -> int:
        return len(self._data)

    def add(self, line: bytes, fds: Sequence[int] = ()) -> None:
        """`fds` belong to us from now on."""
        if fds:
            self._marks.append((self._sent + len(self._data), fds))
        self._data += line

    def flush(self, sock: socket.socket) -> None:
        """Write what can be written. Raises OSError, BlockingIOError excepted."""
        while self._data:
            try:
                sent = self._send(sock)
            except BlockingIOError:
                return
            del self._data[:sent]
            self._sent += sent

    def _send(self, sock: socket.socket) -> int:
        if not self._marks:
            return sock.send(self._data)
        at, fds = self._marks[0]
        before = at - self._sent
        if before > 0:
            return sock.send(bytes(self._data[:before]))
        end = self._marks[1][0] - self._sent if len(self._marks) > 1 else len(self._data)
        sent = socket.send_fds(sock, [bytes(self._data[:end])], list(fds))
        self._marks.popleft()
        _close_all(fds)
        return sent

    def drop(self) -> None:
        """Nobody is left to read it."""
        self._data.clear()
        while self._marks:
            _close_all(self._marks.popleft()[1])


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
