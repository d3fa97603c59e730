# SPDX-License-Identifier: GPL-3.0-or-later
"""Two questions to the session bus, without a library: who has which name, and what is his pid.

The D-Bus Specification 0.41: SASL EXTERNAL, then messages with no argument or one string.
"""

from __future__ import annotations

import os
import socket
import struct
import urllib.parse

_BUS = "org.freedesktop.DBus"
_SECONDS = 2.0
_CALL, _REPLY, _ERROR = 1, 2, 3
_MESSAGE_MAX = 1 << 22


class BusError(Exception):
    """There is no session bus, or it does not answer."""


def address() -> str | None:
    """The path of the session bus's socket (an abstract one begins with NUL); None: none known."""
    for each in os.environ.get("DBUS_SESSION_BUS_ADDRESS", "").split(";"):
        transport, _, rest = each.partition(":")
        keys = dict(pair.split("=", 1) for pair in rest.split(",") if "=" in pair)
        if transport == "unix" and "path" in keys:
            return urllib.parse.unquote(keys["path"])
        if transport == "unix" and "abstract" in keys:
            return "\0" + urllib.parse.unquote(keys["abstract"])
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    path = f"{runtime}/bus" if runtime else None
    return path if path and os.path.exists(path) else None


class SessionBus:
    """A connection; a context manager. Raises BusError."""

    def __init__(self, path: str | None = None) -> None:
        path = path or address()
        if path is None:
            raise BusError("there is no session bus")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._sock.settimeout(_SECONDS)
        self._serial = 0
        try:
            self._sock.connect(path)
            uid = str(os.getuid()).encode().hex().encode()
            self._sock.sendall(b"\0AUTH EXTERNAL " + uid + b"\r\n")
            if not self._line().startswith(b"OK "):
                raise BusError("the session bus does not take us")
            self._sock.sendall(b"BEGIN\r\n")
            self.call("Hello")
        except OSError as error:
            self.close()
            raise BusError(f"the session bus cannot be reached: {error}") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SessionBus:
        return self

    def __exit__(self, *_args: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def names(self) -> list[str]:
        """All well-known names that somebody owns."""
        body, order = self.call("ListNames")
        (size,) = struct.unpack_from(order + "I", body)
        found, at, end = [], 4, 4 + size
        while at < end:
            at += -at % 4
            (length,) = struct.unpack_from(order + "I", body, at)
            name = body[at + 4 : at + 4 + length].decode()
            at += 4 + length + 1
            if not name.startswith(":"):
                found.append(name)
        return found

    def pid(self, name: str) -> int | None:
        """The process that owns a name; None: nobody does."""
        try:
            body, order = self.call("GetConnectionUnixProcessID", name)
        except LookupError:
            return None
        return int(struct.unpack_from(order + "I", body)[0])

    def owners(self, name: str) -> dict[str, int]:
        """Names with the processes that own them; "NAME.*" for that one and all below."""
        if name.endswith(".*"):
            stem = name[:-2]
            wanted = [n for n in self.names() if n == stem or n.startswith(stem + ".")]
        else:
            wanted = [name]
        found = {each: self.pid(each) for each in wanted}
        return {each: pid for each, pid in found.items() if pid is not None}

    def call(self, member: str, string: str | None = None) -> tuple[bytes, str]:
        """The body of the answer and its byte order, as struct has it. LookupError: an error."""
        self._serial += 1
        body = _string(string) if string is not None else b""
        fields = [(1, "o", "/org/freedesktop/DBus"), (2, "s", _BUS), (3, "s", member)]
        fields.append((6, "s", _BUS))
        if string is not None:
            fields.append((8, "g", "s"))
        head = b""
        for code, sort, value in fields:
            head += b"\0" * (-len(head) % 8) + bytes((code, 1)) + sort.encode() + b"\0"
            head += _signature(value) if sort == "g" else _string(value)
        start = struct.pack("<cBBBIII", b"l", _CALL, 0, 1, len(body), self._serial, len(head))
        message = start + head
        message += b"\0" * (-len(message) % 8) + body
        try:
            self._sock.sendall(message)
            while True:
                kind, serial, found, order = self._receive()
                if serial == self._serial and kind == _REPLY:
                    return found, order
                if serial == self._serial and kind == _ERROR:
                    raise LookupError(member)
        except (OSError, struct.error, ValueError) as error:
            raise BusError(f"the session bus does not answer: {error}") from None

    def _receive(self) -> tuple[int, int | None, bytes, str]:
        """Type, serial that it answers, body, byte order."""
        start = self._exactly(16)
        order = "<" if start[:1] == b"l" else ">"
        kind = start[1]
        size, _, fields = struct.unpack_from(order + "III", start, 4)
        if size > _MESSAGE_MAX or fields > _MESSAGE_MAX:
            raise ValueError("a message that is too long")
        head = self._exactly(fields + -fields % 8)
        body = self._exactly(size)
        return kind, _reply_serial(head[:fields], order), body, order

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._sock.recv(size - len(data))
            if not more:
                raise OSError("it hung up")
            data += more
        return data

    def _line(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n") and len(data) < 512:
            more = self._sock.recv(1)
            if not more:
                raise OSError("it hung up")
            data += more
        return data


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw + b"\0"


def _signature(text: str) -> bytes:
    return bytes((len(text),)) + text.encode() + b"\0"


def _reply_serial(head: bytes, order: str) -> int | None:
    """REPLY_SERIAL among header fields, the others being strings, paths, signatures and u."""
    at = 0
    while at + 4 <= len(head):
        at += -at % 8
        if at + 4 > len(head):
            break
        code, length = head[at], head[at + 1]
        kind = head[at + 2 : at + 2 + length]
        at += 2 + length + 1
        if kind == b"u":
            at += -at % 4
            (value,) = struct.unpack_from(order + "I", head, at)
            at += 4
            if code == 5:
                return int(value)
        elif kind in (b"s", b"o"):
            at += -at % 4
            (size,) = struct.unpack_from(order + "I", head, at)
            at += 4 + size + 1
        elif kind == b"g":
            at += 1 + head[at] + 1
        else:
            break
    return None
