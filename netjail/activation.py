# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the system bus to start the helper: as much of D-Bus as two calls need.

The D-Bus libraries cost a command more time than all the rest of it. Wire format: the D-Bus
specification, "Message Protocol" and "Authentication Protocol"; all we send and read of messages
is header fields and strings.
"""

from __future__ import annotations

import os
import socket
import struct
import time

from netjail import names

SOCKET = "/run/dbus/system_bus_socket"
SECONDS = 30.0
"""For the helper to get ready; the bus itself gives up after 25."""

_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_TO, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_MESSAGE_MAX = 1 << 20


class ActivationError(Exception):
    """The bus cannot start it: `name` is the D-Bus error's, empty where there is no bus at all."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message

    @property
    def unavailable(self) -> bool:
        """Whether there is nothing to be started: no bus, or no service of ours installed."""
        return not self.name or self.name.endswith((".ServiceUnknown", ".NoSuchUnit"))


def start_helper() -> None:
    """Have the helper started; returns when it has its name. Raises ActivationError."""
    deadline = time.monotonic() + SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(SECONDS)
        try:
            sock.connect(_address())
        except OSError as error:
            raise ActivationError("", os.strerror(error.errno or 0)) from None
        try:
            bus = _Bus(sock, deadline)
            bus.authenticate()
            bus.call("Hello")
            bus.call("StartServiceByName", names.BUS_NAME)
        except TimeoutError:
            raise ActivationError("timeout", f"no answer within {SECONDS:.0f} s") from None
        except OSError as error:
            raise ActivationError("closed", os.strerror(error.errno or 0)) from None
        except (ValueError, struct.error, IndexError):
            raise ActivationError("garbage", "the bus sent something that is not D-Bus") from None


def _address() -> str:
    """Where the bus listens; of DBUS_SYSTEM_BUS_ADDRESS only the form that is in use."""
    address = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "")
    first = address.partition(";")[0]
    if first.startswith("unix:path="):
        return first.removeprefix("unix:path=").partition(",")[0]
    return SOCKET


class _Bus:
    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._serial = 0

    def authenticate(self) -> None:
        uid = str(os.geteuid()).encode().hex()
        self._sock.sendall(f"\0AUTH EXTERNAL {uid}\r\n".encode())
        line = b""
        while not line.endswith(b"\r\n"):
            line += self._read(1)  # nothing follows it before we go on
            if len(line) > 4096:
                raise ValueError
        if not line.startswith(b"OK "):
            raise ActivationError("refused", "the bus does not let us in")
        self._sock.sendall(b"BEGIN\r\n")

    def call(self, member: str, name: str | None = None) -> None:
        """Call the bus itself, with no argument or with (name, 0); waits for the answer."""
        self._serial += 1
        body = b"" if name is None else _string(name) + _padding(4, 5 + len(name)) + bytes(4)
        fields = [
            (_PATH, b"o", "/org/freedesktop/DBus"),
            (_DESTINATION, b"s", "org.freedesktop.DBus"),
            (_INTERFACE, b"s", "org.freedesktop.DBus"),
            (_MEMBER, b"s", member),
        ]
        header = b""
        for code, kind, value in fields:
            header += _padding(8, len(header)) + bytes((code, 1)) + kind + b"\0" + _string(value)
        if body:
            header += _padding(8, len(header)) + bytes((_SIGNATURE, 1)) + b"g\0\x02su\0"
        start = struct.pack("<cBBBIII", b"l", _CALL, 0, 1, len(body), self._serial, len(header))
        message = start + header
        self._sock.sendall(message + _padding(8, len(message)) + body)
        while not self._answered():
            pass

    def _answered(self) -> bool:
        """Read one message; whether it is the answer to the last call."""
        start = self._read(16)
        order = "<" if start[:1] == b"l" else ">"
        body_size, _serial, fields_size = struct.unpack(order + "III", start[4:])
        if body_size + fields_size > _MESSAGE_MAX:
            raise ValueError
        header = self._read(fields_size + -fields_size % 8)[:fields_size]
        body = self._read(body_size)
        fields = dict(_fields(order, header))
        if fields.get(_REPLY_TO) != self._serial:
            return False
        if start[1] == _ERROR:
            text = ""
            if str(fields.get(_SIGNATURE, "")).startswith("s"):
                (size,) = struct.unpack_from(order + "I", body)
                text = body[4 : 4 + size].decode(errors="replace")
            raise ActivationError(str(fields.get(_ERROR_NAME, "unknown")), text)
        return start[1] == _RETURN

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
            part = self._sock.recv(size - len(data))
            if not part:
                raise ActivationError("closed", "the bus has closed the connection")
            data += part
        return data


def _fields(order: str, header: bytes) -> list[tuple[int, str | int]]:
    """Of a message's header: those with a string or a number, which are all there are."""
    found: list[tuple[int, str | int]] = []
    at = 0
    while at < len(header):
        at += -at % 8
        code, kind = header[at], header[at + 2 : at + 3]
        at += 4
        if kind == b"u":
            found.append((code, int(struct.unpack_from(order + "I", header, at)[0])))
            at += 4
        elif kind == b"g":
            size = header[at]
            found.append((code, header[at + 1 : at + 1 + size].decode()))
            at += size + 2
        elif kind in (b"s", b"o"):
            (size,) = struct.unpack_from(order + "I", header, at)
            found.append((code, header[at + 4 : at + 4 + size].decode()))
            at += size + 5
        else:
            raise ValueError(kind)
    return found


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def _padding(to: int, length: int) -> bytes:
    return bytes(-length % to)
