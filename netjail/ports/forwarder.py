# SPDX-License-Identifier: GPL-3.0-or-later
"""The forwarder of one jail: a process without any right that holds sockets on both sides.

Started by the helper as `python3 -I -S .../ports/forwarder.py PROFILE NETNS USER`, with a Unix
socket that listens as its standard input. A socket belongs for ever to the network namespace in
which it was made, whoever holds it. One thread of this process enters the jail's namespace, and
does nothing else than make sockets there; then all rights are given up. What listens has been
opened by the helper, and comes by the control socket.

Requests, one JSON object a packet, from root only:
    {"do": "list"} -> {"ports": [{"port": [...], "connections": N, "served": N}]}
    {"do": "add", "port": [way, protocol, listen, to, name], "targets": [...]} and its sockets
    {"do": "remove", "port": [...]}, {"do": "change", ...} (the sockets stay) -> {}
Whatever cannot be done is answered with {"error": "why"}.
"""

if not __package__:  # see daemon/__main__.py
    import os
    import sys

    _here = os.path.dirname(os.path.abspath(__file__))
    if sys.path and sys.path[0] == _here:
        del sys.path[0]
    sys.path.insert(0, os.path.dirname(os.path.dirname(_here)))
    import netjail.ports.loop  # noqa: F401 - found now, and remembered

    del sys.path[0]

import ctypes
import json
import os
import queue
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time

from netjail.ports.datagrams import DatagramPort
from netjail.ports.loop import Loop
from netjail.ports.streams import StreamPort, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FILES_MAX = 1 << 17
"""Descriptors: all ports with all their connections, and some."""
MESSAGE_MAX = 1 << 16
SOCKETS_MAX = 8
_CLONE_NEWNET = 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None, use_errno=True)


class Inside(threading.Thread):
    """Makes sockets in the jail's namespace. A thread's namespace is its own (setns(2))."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self._path = path
        self._asked: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._made: queue.SimpleQueue[socket.socket | OSError | None] = queue.SimpleQueue()

    def enter(self) -> None:
        """Start it, and wait until it is there. Raises OSError."""
        self.start()
        failed = self._made.get()
        if isinstance(failed, OSError):
            raise failed

    def run(self) -> None:
        """For ever."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if _libc.setns(fd, _CLONE_NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), self._path)
            os.close(fd)
        except OSError as error:
            self._made.put(error)
            return
        self._made.put(None)
        while True:
            family, kind = self._asked.get()
            try:
                self._made.put(socket.socket(family, kind))
            except OSError as error:
                self._made.put(error)

    def socket(self, family: int, kind: int) -> socket.socket:
        """A socket of the jail's. Raises OSError."""
        self._asked.put((family, kind))
        made = self._made.get()
        if not isinstance(made, socket.socket):
            raise made or OSError("no socket")
        return made


def drop(user: int) -> None:
    """Become a user that nobody else is, in all threads, with no way back."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
    except (OSError, ValueError):  # in a container that may not
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class Forwarder:
    """All ports of a jail, by the JSON text of way, protocol and listen."""

    def __init__(self, loop: Loop, inside: Inside, control: socket.socket) -> None:
        self._loop = loop
        self._inside = inside
        self._control = control
        self._ports: dict[str, tuple[list[str], StreamPort | DatagramPort]] = {}
        loop.ticks.append(self._tick)
        control.setblocking(False)
        loop.watch(control.fileno(), lambda _: self._come(), select.EPOLLIN)

    def _tick(self, now: float) -> None:
        for _, port in list(self._ports.values()):
            port.tick(now)

    def _come(self) -> None:
        try:
            peer, _ = self._control.accept()
        except OSError:
            return
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if struct.unpack("3i", credentials)[1] != 0:
            peer.close()
            return
        peer.setblocking(False)
        self._loop.watch(peer.fileno(), lambda _: self._request(peer), select.EPOLLIN)

    def _request(self, peer: socket.socket) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(peer, MESSAGE_MAX, SOCKETS_MAX)
        except OSError:
            data, fds = b"", []
        sockets = [socket.socket(fileno=fd) for fd in fds]
        if not data:
            self._loop.forget(peer.fileno())
            peer.close()
            return
        try:
            answer = self._do(json.loads(data), sockets)
        except (OSError, ValueError, KeyError, TypeError) as error:
            for sock in sockets:
                sock.close()
            answer = {"error": f"{type(error).__name__}: {error}"}
        try:
            peer.send(json.dumps(answer).encode())
        except OSError:
            pass

    def _do(self, request: "dict[str, Any]", sockets: list[socket.socket]) -> "dict[str, Any]":
        what = request["do"]
        if what == "list":
            ports = self._ports.values()
            return {
                "ports": [
                    {"port": words, "connections": port.connections, "served": port.served}
                    for words, port in ports
                ]
            }
        words = [str(word) for word in request["port"]]
        key = json.dumps(words[:3])
        if what == "add":
            if key in self._ports or not sockets:
                raise ValueError("no socket, or there is one already")
            make = self._inside.socket if words[0] == "forward" else socket.socket
            kind = StreamPort if words[1] == "tcp" else DatagramPort
            self._ports[key] = words, kind(self._loop, sockets, _targets(request["targets"]), make)
        elif what == "change":
            port = self._ports[key][1]
            port.targets = tuple(_targets(request["targets"]))
            self._ports[key] = words, port
        elif what == "remove":
            found = self._ports.pop(key, None)
            if found is not None:
                found[1].close()
        else:
            raise ValueError(f"no such request: {what!r}")
        return {}


def _targets(raw: "list[Any]") -> list[Target]:
    """[path] or [address, port] each."""
    found: list[Target] = []
    for each in raw:
        if len(each) == 1:
            found.append((socket.AF_UNIX, str(each[0])))
        else:
            family = socket.AF_INET6 if ":" in each[0] else socket.AF_INET
            found.append((family, (str(each[0]), int(each[1]))))
    if not found:
        raise ValueError("no targets")
    return found


def main(argv: list[str]) -> int:
    """Serve until somebody ends it."""
    _profile, netns, user = argv
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    control = socket.socket(fileno=0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # before the thread, which has it from here
    inside = Inside(f"/run/netns/{netns}")
    inside.enter()
    drop(int(user))
    loop = Loop()
    Forwarder(loop, inside, control)
    print(time.strftime("%F %T"), "the forwarder is ready", flush=True)
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
