# SPDX-License-Identifier: GPL-3.0-or-later
"""The management interface of openvpn(8) (its doc/management-notes.txt): a Unix socket on which it
says what it does and asks for passwords. Here is the protocol alone; `vpn` acts on it.

What comes is not trusted: openvpn relays much of what a server says.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field

from netjail.engine.process import Process
from netjail.errors import NetjailError
from netjail.profile import checks, tunnelchecks

LINE_MAX = 1 << 16
ENVIRONMENT_MAX = 1 << 23
"""Characters of one environment: some fifty for each variable, three of them for each route that a
server pushes."""
_CREDENTIALS = struct.Struct("=3i")


class Channel:
    """A connection to one openvpn. `close` may be called from another thread."""

    def __init__(self, path: str, process: Process) -> None:
        """Raises OSError where it does not listen (yet), NetjailError where somebody else does."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._buffer = b""
        try:
            self._socket.settimeout(5)
            self._socket.connect(path)
            size = _CREDENTIALS.size
            raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            if _CREDENTIALS.unpack(raw)[0] != process.pid or not process.alive():
                raise NetjailError("conflict", f"{path} is not the socket of our {process.name}")
            self._socket.settimeout(None)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """End it; whoever reads finds its end."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def send(self, *commands: str) -> None:
        """One or several commands. Those that went away are found out by reading."""
        try:
            self._socket.sendall("".join(f"{each}\n" for each in commands).encode())
        except OSError:
            pass

    def lines(self) -> Iterator[str]:
        """What it says, line by line, until the connection ends."""
        try:
            while True:
                data = self._socket.recv(LINE_MAX)
                if not data:
                    return
                *whole, self._buffer = (self._buffer + data).split(b"\n")
                for each in whole:
                    yield each.rstrip(b"\r").decode(errors="replace")
                if len(self._buffer) > LINE_MAX:
                    return
        except OSError:
            return
        finally:
            self._socket.close()


def connect(path: str, process: Process, seconds: float) -> Channel:
    """A connection to an openvpn that has just been started. Raises NetjailError."""
    end = time.monotonic() + seconds
    pause = 0.005
    while True:
        try:
            return Channel(path, process)
        except OSError as error:
            if not process.alive():
                raise NetjailError("system", f"{process.name} ended at once") from None
            if time.monotonic() > end:
                raise NetjailError(
                    "timeout", f"{process.name} does not listen: {os.strerror(error.errno or 0)}"
                ) from None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def quote(text: str) -> str:
    """A parameter of a command, as a lexer of shells takes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def static_response(password: str, response: str) -> str:
    """What answers a static challenge, in place of the password."""
    return f"SCRV1:{_base64(password)}:{_base64(response)}"


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def sane(text: str, limit: int = 160) -> str:
    """What a server, or openvpn, has said, fit to be shown to people."""
    return checks.printable(" ".join(text.split()), limit)


# What it says ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """`>STATE:`. `name` as in openvpn(8): CONNECTED, RECONNECTING, WAIT, ...; `detail` a reason;
    `server` the address and port it is connected to."""

    name: str
    detail: str
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """`>LOG:`. `flags`: F fatal, N error, W warning, I information, D debug."""

    flags: str
    text: str


@dataclass(frozen=True, slots=True)
class Need:
    """A password is wanted. `what`: "Auth", "Private Key", ...; `challenge`: a further question,
    with whether its answer may be seen. `token`, `username`: of a dynamic one, see Refused."""

    what: str
    challenge: str | None = None
    echo: bool = False
    token: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """A password did not do. `token`: the state that answers a dynamic challenge refers to."""

    what: str
    reason: str
    challenge: str | None = None
    echo: bool = False
    token: str | None = field(default=None, repr=False)
    username: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Hold:
    """It waits to be released."""


@dataclass(frozen=True, slots=True)
class Fatal:
    """It is about to end."""

    text: str


@dataclass(frozen=True, slots=True)
class UpDown:
    """The tun was opened ("UP") or is being closed, with the environment of that script."""

    direction: str
    environment: dict[str, str]


Event = State | Log | Need | Refused | Hold | Fatal | UpDown

_NEED = re.compile(r"Need '([^']*)' (?:username/password|password)(?: SC:(\d+),(.*))?")
_FAILED = re.compile(r"Verification Failed: '([^']*)'(?: \['(.*)'\])?")
_CRV1 = re.compile(r"CRV1:([^:]*):([^:]*):([^:]*):(.*)")


class Reader:
    """Lines to events. One per connection: an environment spans many lines."""

    def __init__(self) -> None:
        self._direction: str | None = None
        self._environment: dict[str, str] = {}
        self._size = 0

    def read(self, line: str) -> Event | None:
        """None for what is of no interest."""
        kind, colon, rest = line.partition(":")
        if not colon:
            return None
        if kind == ">UPDOWN":
            return self._updown(rest)
        if kind == ">STATE":
            return _state(rest)
        if kind == ">LOG":
            _, _, rest = rest.partition(",")
            flags, _, text = rest.partition(",")
            return Log(flags, text)
        if kind == ">PASSWORD":
            return _password(rest)
        if kind == ">HOLD":
            return Hold()
        if kind == ">FATAL":
            return Fatal(rest)
        return None

    def _updown(self, rest: str) -> UpDown | None:
        word, _, text = rest.partition(",")
        if word != "ENV":
            self._direction, self._environment, self._size = word, {}, 0
            return None
        if self._direction is None:
            return None
        if text == "END":
            found = UpDown(self._direction, self._environment)
            self._direction, self._environment = None, {}
            return found
        name, equals, value = text.partition("=")
        self._size += len(text) + 50
        if equals and self._size < ENVIRONMENT_MAX:
            self._environment[name] = value
        return None


def _state(rest: str) -> State:
    """`time,name,detail,local,remote,port,...`."""
    fields = rest.split(",")
    fields += [""] * (6 - len(fields))
    server = f"[{fields[4]}]" if ":" in fields[4] else fields[4]
    return State(fields[1], fields[2], f"{server}:{fields[5]}" if server else None)


_STATE_LINE = re.compile(r"\d{1,12},[A-Z][A-Z_]{2,20},.*")


def state_line(line: str) -> State | None:
    """A line of the answer to the command `state`, which is as `>STATE:` without that."""
    return _state(line) if _STATE_LINE.fullmatch(line) else None


def _password(rest: str) -> Need | Refused | None:
    need = _NEED.fullmatch(rest)
    if need:
        challenge = None if need[3] is None else sane(need[3])
        return Need(need[1], challenge, bool(need[2] and int(need[2]) & 1))
    failed = _FAILED.fullmatch(rest)
    if failed is None:
        return None
    reason = failed[2] or ""
    dynamic = _CRV1.fullmatch(reason)
    if dynamic is None:
        return Refused(failed[1], sane(reason))
    flags, token, user, text = dynamic.groups()
    try:
        # as a user would have to type it: a line break would be a command of the server's own
        username = tunnelchecks.secret_line(b64decode(user, validate=True).decode())
    except (ValueError, checks.Bad):
        username = None
    return Refused(failed[1], "", sane(text), "E" in flags.split(","), token, username)


_PUSH = re.compile(r"PUSH: Received control message: '(?:PUSH_REPLY|PUSH_UPDATE),(.*)'")


def pushed(text: str) -> list[str] | None:
    """The options in a line of the log that tells of them."""
    found = _PUSH.fullmatch(text)
    return None if found is None else [each.strip() for each in found[1].split(",")]
