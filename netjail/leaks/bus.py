# SPDX-License-Identifier: GPL-3.0-or-later
"""Just enough D-Bus to ask who is there, for the probe."""

from __future__ import annotations

import os
import socket
import struct


class Bus:
    """A connection. Raises OSError, ValueError, struct.error where there is none for us."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(2)
        self._socket.connect(path)
        self._serial = 0
        user = str(os.getuid()).encode().hex()
        self._socket.sendall(f"\0AUTH EXTERNAL {user}\r\n".encode())
        if not self._socket.recv(512).startswith(b"OK"):
            raise ValueError("not let in")
        self._socket.sendall(b"BEGIN\r\n")
        self._call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")

    def close(self) -> None:
        """Go."""
        self._socket.close()

    def ping(self, name: str) -> str:
        """ "answers", "denied" or "" (nobody of that name)."""
        kind, error = self._call(name, "/", "org.freedesktop.DBus.Peer", "Ping")
        if kind == 2:
            return "answers"
        return "denied" if b"AccessDenied" in error else ""

    def _call(self, name: str, path: str, interface: str, member: str) -> tuple[int, bytes]:
        """Type of the answer (2 return, 3 error), and all of it."""
        self._serial += 1
        fields = b""
        for code, sign, value in (
            (1, b"o", path),
            (2, b"s", interface),
            (3, b"s", member),
            (6, b"s", name),
        ):
            fields += bytes(-len(fields) % 8) + bytes([code, 1]) + sign + b"\0"
            data = value.encode()
            fields += struct.pack("<I", len(data)) + data + b"\0"
        head = b"l\1\2\1" + struct.pack("<III", 0, self._serial, len(fields)) + fields
        self._socket.sendall(head + bytes(-len(head) % 8))  # flags 2: start nobody
        while True:
            start = self._read(16)
            order = "<" if start[:1] == b"l" else ">"
            body, _, length = struct.unpack(order + "III", start[4:])
            if body + length > 1 << 20:
                raise ValueError("not D-Bus")
            rest = self._read(length + -length % 8 + body)
            # a signal (NameAcquired) may come first; replies carry the serial as field 5
            serial = rest.find(b"\5\1u\0")
            if start[1] not in (2, 3) or serial < 0:
                continue
            if struct.unpack_from(order + "I", rest, serial + 4)[0] == self._serial:
                return start[1], rest

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise ValueError("closed")
            data += more
        return data
