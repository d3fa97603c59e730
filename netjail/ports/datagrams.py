# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP: for each who sends to a port, a socket of his own on the other side, for as long as either
says something."""

from __future__ import annotations

import select
import socket
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from netjail.ports.loop import Loop
from netjail.ports.streams import Maker, Target

PER_PORT = 512
"""Senders of one port at a time; the one that was silent longest makes room."""
IDLE_SECONDS = 180.0
_BATCH = 64
_LARGEST = 65535


class _Sender:
    def __init__(self, near: socket.socket, address: Any, far: socket.socket) -> None:
        self.near, self.address, self.far = near, address, far
        self.last = time.monotonic()


class DatagramPort:
    """Sockets that are bound, and who has sent to them."""

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
        self.served = 0
        self._senders: OrderedDict[tuple[int, Any], _Sender] = OrderedDict()
        for sock in self._sockets:
            sock.setblocking(False)
            loop.watch(sock.fileno(), lambda _, sock=sock: self._come(sock), select.EPOLLIN)  # type: ignore[misc]

    @property
    def connections(self) -> int:
        """Senders that have not been silent for long."""
        return len(self._senders)

    def _come(self, sock: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                data, address = sock.recvfrom(_LARGEST)
            except OSError:
                return
            sender = self._senders.get((sock.fileno(), address)) or self._new(sock, address)
            if sender is None:
                continue
            self._senders.move_to_end((sock.fileno(), address))
            sender.last = time.monotonic()
            try:
                sender.far.send(data)
            except BlockingIOError:
                pass  # lost, as datagrams may be
            except OSError:
                self._drop((sock.fileno(), address))  # nobody is there

    def _new(self, near: socket.socket, address: Any) -> _Sender | None:
        same = [t for t in self.targets if t[0] == near.family]
        family, target = (same or list(self.targets))[0]
        if len(self._senders) >= PER_PORT:
            self._drop(next(iter(self._senders)))
        try:
            far = self.make(family, socket.SOCK_DGRAM)
        except OSError:
            return None
        try:
            far.setblocking(False)
            far.connect(target)  # type: ignore[arg-type]
        except OSError:
            far.close()
            return None
        key = (near.fileno(), address)
        self._senders[key] = sender = _Sender(near, address, far)
        self.served += 1
        self._loop.watch(far.fileno(), lambda _: self._answer(key), select.EPOLLIN)
        return sender

    def _answer(self, key: tuple[int, Any]) -> None:
        sender = self._senders.get(key)
        for _ in range(_BATCH):
            if sender is None:
                return
            try:
                data = sender.far.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                self._drop(key)
                return
            sender.last = time.monotonic()
            try:
                sender.near.sendto(data, sender.address)
            except OSError:
                pass  # lost
            self._senders.move_to_end(key)

    def _drop(self, key: tuple[int, Any]) -> None:
        sender = self._senders.pop(key)
        self._loop.forget(sender.far.fileno())
        sender.far.close()

    def tick(self, now: float) -> None:
        """Now and then."""
        while self._senders:
            key, sender = next(iter(self._senders.items()))
            if now - sender.last < IDLE_SECONDS:
                return
            self._drop(key)

    def close(self) -> None:
        """Listen no more."""
        while self._senders:
            self._drop(next(iter(self._senders)))
        for sock in self._sockets:
            self._loop.forget(sock.fileno())
            sock.close()
        self._sockets = []
