# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections joined to each other: real sockets of the loopback, the loop in a thread."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from netjail.ports import streams
from netjail.ports.datagrams import DatagramPort
from netjail.ports.loop import Loop
from netjail.ports.streams import StreamPort

SECONDS = 30.0


def _end() -> None:
    raise SystemExit


class Carrier:
    """A loop in a thread of its own, which ends with the test."""

    def __init__(self) -> None:
        self.loop = Loop()
        self._read, self._write = os.pipe()
        self._calls: list[Callable[[], None]] = []
        self.loop.watch(self._read, self._called, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.loop.run()
        except SystemExit:
            pass

    def _called(self, _events: int) -> None:
        os.read(self._read, 1)
        self._calls.pop(0)()

    def call(self, do: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            do()
            done.set()

        self._calls.append(run)
        os.write(self._write, b"x")
        assert done.wait(SECONDS)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._calls.append(_end)
        os.write(self._write, b"x")
        self._thread.join(SECONDS)


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    made = Carrier()
    yield made
    made.stop()


@pytest.fixture
def service() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as sock:
        sock.settimeout(SECONDS)
        yield sock


def port_of(carrier: Carrier, service: socket.socket) -> StreamPort:
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    target = (socket.AF_INET, service.getsockname())
    port = StreamPort(carrier.loop, [listening], [target], socket.socket)
    port.at = listening.getsockname()  # type: ignore[attr-defined]
    carrier.start()
    return port


def connect(port: StreamPort) -> socket.socket:
    return socket.create_connection(port.at, SECONDS)  # type: ignore[attr-defined]


def accept(service: socket.socket) -> socket.socket:
    peer, _ = service.accept()
    peer.settimeout(SECONDS)
    return peer


def everything(sock: socket.socket) -> bytes:
    said = b""
    while data := sock.recv(1 << 20):
        said += data
    return said


def test_one_side_says_no_more_and_is_answered_all_the_same(
    carrier: Carrier, service: socket.socket
) -> None:
    port = port_of(carrier, service)
    with connect(port) as near, accept(service) as far:
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        assert everything(far) == b"question"
        far.sendall(b"answer")
        far.shutdown(socket.SHUT_WR)
        assert everything(near) == b"answer"


def test_no_more_is_kept_than_a_buffer_when_nobody_reads(
    carrier: Carrier, service: socket.socket
) -> None:
    port = port_of(carrier, service)
    size = 64 << 20
    with connect(port) as near, accept(service) as far:
        near.settimeout(1)
        sent = 0
        try:
            while sent < size:
                sent += near.send(b"x" * (1 << 20))
        except TimeoutError:
            pass
        assert sent < size, "it swallows all"
        near.shutdown(socket.SHUT_WR)
        assert len(everything(far)) == sent


def test_what_breaks_off_on_one_side_breaks_off_on_the_other(
    carrier: Carrier, service: socket.socket
) -> None:
    port = port_of(carrier, service)
    with connect(port) as near:
        far = accept(service)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, streams._BREAK_OFF)
        far.close()
        with pytest.raises(ConnectionResetError):
            near.recv(1)


def test_whoever_comes_too_many_waits_until_one_ends(
    carrier: Carrier, service: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PER_PORT", 4)
    port = port_of(carrier, service)
    nears = [connect(port) for _ in range(6)]
    fars = [accept(service) for _ in range(4)]
    service.settimeout(0.2)
    with pytest.raises(TimeoutError):
        service.accept()
    service.settimeout(SECONDS)
    for sock in (nears[0], nears[1]):
        sock.close()
    for sock in list(fars):
        sock.close()
    more = [accept(service) for _ in range(2)]
    nears[5].sendall(b"at last")
    nears[5].shutdown(socket.SHUT_WR)
    assert everything(more[1]) == b"at last"
    for sock in (*nears, *more):
        sock.close()


def test_a_closed_port_is_refused_and_has_no_connections(
    carrier: Carrier, service: socket.socket
) -> None:
    port = port_of(carrier, service)
    with connect(port) as near, accept(service) as far:
        near.sendall(b"x")
        assert far.recv(1) == b"x"
        carrier.call(port.close)
        assert port.connections == 0
        with pytest.raises(ConnectionResetError):
            near.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(port)


def test_each_sender_of_udp_gets_the_answers_to_what_he_said(carrier: Carrier) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        service.bind(("127.0.0.1", 0))
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("127.0.0.1", 0))
        for sock in (service, one, other):
            sock.settimeout(SECONDS)
        at = bound.getsockname()
        target = (socket.AF_INET, service.getsockname())
        port = DatagramPort(carrier.loop, [bound], [target], socket.socket)
        carrier.start()
        one.sendto(b"one", at)
        said, first = service.recvfrom(99)
        other.sendto(b"other", at)
        assert (said, service.recvfrom(99)[0]) == (b"one", b"other")
        service.sendto(b"to one", first)
        answer, source = one.recvfrom(99)
        assert (answer, source) == (b"to one", at)
        assert port.connections == 2
        carrier.call(lambda: port.tick(float("inf")))
        assert port.connections == 0
