# SPDX-License-Identifier: GPL-3.0-or-later
"""The few bytes of D-Bus that start the helper, against a bus that says what a test wants."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netjail import activation
from netjail.activation import ActivationError

Script = Callable[[socket.socket], object]


class Bus:
    """Serves one connection as the script says."""

    def __init__(self, path: Path, script: Script) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, args=[script], daemon=True)
        self.thread.start()

    def _serve(self, script: Script) -> None:
        sock, _ = self.listener.accept()
        with sock:
            try:
                script(sock)
            except OSError:
                pass

    def close(self) -> None:
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Script], None]]:
    path = tmp_path / "bus"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={path},guid=1234")
    opened: list[Bus] = []

    def make(script: Script) -> None:
        for bus in opened:
            bus.close()
        path.unlink(missing_ok=True)
        opened.append(Bus(path, script))

    yield make
    for bus in opened:
        bus.close()


def hello(sock: socket.socket) -> None:
    line = b""
    while not line.endswith(b"\r\n"):
        line += sock.recv(1)
    assert line == b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n"
    sock.sendall(b"OK 1234567890abcdef\r\n")
    assert sock.recv(7, socket.MSG_WAITALL) == b"BEGIN\r\n"


def receive(sock: socket.socket) -> tuple[int, bytes, bytes]:
    """(serial, header fields, body) of a message."""
    start = sock.recv(16, socket.MSG_WAITALL)
    body, serial, fields = struct.unpack("<III", start[4:])
    assert start[:4] == b"l\x01\x00\x01"
    header = sock.recv(fields + -fields % 8, socket.MSG_WAITALL)
    return serial, header, sock.recv(body, socket.MSG_WAITALL) if body else b""


def answer(
    kind: int, to: int, *, error: str = "", text: str | None = None, order: str = "<"
) -> bytes:
    fields = struct.pack(order + "BB2sI", 5, 1, b"u\0", to)

    def field(code: int, sort: bytes, value: bytes) -> bytes:
        return bytes(-len(fields) % 8) + bytes((code, 1)) + sort + b"\0" + value

    if error:
        fields += field(4, b"s", struct.pack(order + "I", len(error)) + error.encode() + b"\0")
    body = b""
    if text is not None:
        fields += field(8, b"g", b"\x01s\0")
        body = struct.pack(order + "I", len(text)) + text.encode() + b"\0"
    first = b"l" if order == "<" else b"B"
    start = struct.pack(order + "cBBBIII", first, kind, 0, 1, len(body), 77, len(fields))
    return start + fields + bytes(-len(fields) % 8) + body


def bus(*, order: str = "<", error: str = "", text: str = "") -> Script:
    def script(sock: socket.socket) -> None:
        hello(sock)
        serial, header, _ = receive(sock)
        assert b"Hello\0" in header
        # the answer, and a signal that nobody has asked for
        sock.sendall(answer(2, serial, text=":1.7", order=order))
        sock.sendall(answer(4, 0, text="NameAcquired", order=order))
        serial, header, body = receive(sock)
        assert b"StartServiceByName\0" in header and b"\x02su\0" in header
        name = b"org.netjail.Netjail1"
        assert body == struct.pack("<I", len(name)) + name + b"\0" + bytes(3) + bytes(4)
        if error:
            sock.sendall(answer(3, serial, error=error, text=text, order=order))
        else:
            sock.sendall(answer(2, serial, order=order))

    return script


@pytest.mark.parametrize("order", ["<", ">"])
def test_it_starts(serve: Callable[[Script], None], order: str) -> None:
    serve(bus(order=order))
    activation.start_helper()


@pytest.mark.parametrize(
    ("error", "unavailable"),
    [
        ("org.freedesktop.DBus.Error.ServiceUnknown", True),
        ("org.freedesktop.systemd1.NoSuchUnit", True),
        ("org.freedesktop.DBus.Error.Spawn.ChildExited", False),
        ("org.freedesktop.DBus.Error.TimedOut", False),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_it_cannot(
    serve: Callable[[Script], None], error: str, unavailable: bool, order: str
) -> None:
    serve(bus(error=error, text="No, sorry", order=order))
    with pytest.raises(ActivationError, match="No, sorry") as caught:
        activation.start_helper()
    assert caught.value.name == error
    assert caught.value.unavailable is unavailable


def test_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(ActivationError) as caught:
        activation.start_helper()
    assert caught.value.unavailable


def test_a_bus_that_refuses_or_hangs(
    serve: Callable[[Script], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation, "SECONDS", 0.3)
    done = threading.Event()
    serve(lambda sock: [sock.recv(99), sock.sendall(b"REJECTED EXTERNAL\r\n")])
    with pytest.raises(ActivationError, match="does not let us in") as caught:
        activation.start_helper()
    assert not caught.value.unavailable
    serve(lambda sock: done.wait(5))
    with pytest.raises(ActivationError, match="no answer within"):
        activation.start_helper()
    done.set()
    serve(lambda sock: [sock.recv(99), sock.sendall(b"x" * 5000)])
    with pytest.raises(ActivationError, match="not D-Bus"):
        activation.start_helper()


@given(garbage=st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_garbage(
    serve: Callable[[Script], None], monkeypatch: pytest.MonkeyPatch, garbage: bytes
) -> None:
    monkeypatch.setattr(activation, "SECONDS", 1.0)

    def script(sock: socket.socket) -> None:
        hello(sock)
        receive(sock)
        sock.sendall(garbage)

    serve(script)
    with pytest.raises(ActivationError):
        activation.start_helper()
