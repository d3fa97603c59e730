# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper's side of the spawner (launch.spawner): starts it, hands it orders, hears of ends.

All on the main loop's thread; nothing blocks. A spawner that has died is replaced by the next
order; the programs that it had started go on, but nobody knows any more how they end.
"""

from __future__ import annotations

import array
import marshal
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from netjail.daemon import log
from netjail.daemon.loop import READ, WRITE, Loop
from netjail.errors import NetjailError
from netjail.launch import inherit, spawner, wire

_MESSAGE_MAX = 65536
_FDS_MAX = 3
_MFD_CLOEXEC, _MFD_NOEXEC_SEAL = 1, 8
_WAITING_MAX = 1024
"""Orders that a spawner which does not come to take them may leave waiting."""


@dataclass(slots=True)
class Spawned:
    """A child that was started. Descriptors belong to whoever is told: `pidfd`, and where a client
    is to send the program's, the reading end of the `status` pipe and the `channel` (see wire)."""

    pid: int
    pidfd: int
    status: int = -1
    channel: int = -1

    def close(self) -> None:
        for fd in (self.pidfd, self.status, self.channel):
            if fd >= 0:
                os.close(fd)


Started = Callable[["Spawned | NetjailError"], None]
Ended = Callable[[int], None]


class _Waiting:
    __slots__ = ("ended", "kept", "message", "order", "started")

    def __init__(
        self, message: bytes, order: int, kept: bool, started: Started, ended: Ended
    ) -> None:
        self.message = message
        self.order = order
        self.kept = kept
        self.started: Started | None = started
        self.ended = ended


class Spawning:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._queue: deque[int] = deque()
        """Orders that the spawner has not taken yet."""
        self._orders: dict[int, _Waiting] = {}

    @property
    def pid(self) -> int:
        """The spawner's; 0: none runs."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Have a spawner ready. Raises NetjailError."""
        if self._socket is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # By vfork(2) and exec: copies nothing of this process, and minds no threads. (Not by
            # posix_spawn(3): glibc's leaves signals 32 and 33 ignored, in every program then.)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", os.path.abspath(spawner.__file__)],
                stdin=theirs.fileno(),
                cwd="/",
                env={"LANG": "C.UTF-8"},
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise NetjailError(
                "system", f"the spawner cannot be started: {error.strerror}"
            ) from None
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._loop.add(ours.fileno(), READ, self._ready)

    def close(self) -> None:
        """Let it go; it ends with its last program."""
        if self._socket is not None:
            self._loop.remove(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def spawn(self, order: dict[str, Any], kept: bool, started: Started, ended: Ended) -> None:
        """Have an order (launch.child.Order) carried out. `started` is told once, maybe before
        this returns; `ended` then the wait status, if the spawner lives to know it.

        `kept`: no client sends descriptors; `started` is told when the program was executed.
        """
        try:
            if len(self._queue) >= _WAITING_MAX:
                raise NetjailError("system", "too many programs are being started", "try again")
            self.start()
            memory = _in_memory(marshal.dumps(order))
        except NetjailError as error:
            started(error)
            return
        except OSError as error:
            started(NetjailError("system", f"no memory for the program: {error.strerror}"))
            return
        self._number += 1
        cgroup = inherit.cgroup_of(order["inherited"]["cgroups"], "")
        message = marshal.dumps((self._number, cgroup, kept))
        self._orders[self._number] = _Waiting(message, memory, kept, started, ended)
        self._queue.append(self._number)
        self._flush()

    def _flush(self) -> None:
        while self._queue and self._socket is not None:
            waiting = self._orders[self._queue[0]]
            try:
                socket.send_fds(self._socket, [waiting.message], [waiting.order])
            except BlockingIOError:
                break
            except OSError:
                self._lost()
                return
            self._queue.popleft()
            os.close(waiting.order)
            waiting.order = -1
        if self._socket is not None:
            self._loop.modify(self._socket.fileno(), READ | (WRITE if self._queue else 0))

    def _ready(self, events: int) -> None:
        if events & ~WRITE:
            self._read()
        if events & WRITE:
            self._flush()

    def _read(self) -> None:
        while self._socket is not None:
            try:
                data, controls, _, _ = self._socket.recvmsg(
                    _MESSAGE_MAX, socket.CMSG_SPACE(4 * _FDS_MAX), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                data, controls = b"", []
            if not data:
                self._lost()
                return
            fds = array.array("i")
            for _, _, each in controls:
                fds.frombytes(each[: len(each) // 4 * 4])
            message = marshal.loads(data)  # noqa: S302 - the spawner runs our own code and Python
            self._heard(message, fds)

    def _heard(self, message: tuple[Any, ...], fds: Sequence[int]) -> None:
        what, *rest = message
        if what == "ready":
            return
        waiting = self._orders.get(rest[0])
        if waiting is None:
            for fd in fds:
                os.close(fd)
        elif what == "ended":
            del self._orders[rest[0]]
            waiting.ended(rest[1])
        elif what == "failed":
            _, code, text, hint = wire.parse_failed(rest[1])
            if waiting.started is None:
                return
            started, waiting.started = waiting.started, None
            # "exec" is no code of ours: for a client it stands beside an exit status
            code = "system" if code == "exec" else code
            started(NetjailError.from_dict({"code": code, "message": text, "hint": hint}))
        else:
            assert waiting.started is not None
            started, waiting.started = waiting.started, None
            started(Spawned(rest[1], *fds))

    def _lost(self) -> None:
        """The spawner has ended. What it was about is lost; the next order starts another."""
        log.warning("the spawner has ended unexpectedly; programs that run go on")
        self.close()
        if self._process is not None:
            self._reap(self._process)
            self._process = None
        self._queue.clear()
        orders, self._orders = self._orders, {}
        for waiting in orders.values():
            if waiting.order >= 0:
                os.close(waiting.order)
            if waiting.started is not None:
                waiting.started(
                    NetjailError(
                        "system", "the spawner ended before the program was started", "try again"
                    )
                )

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:  # its socket is closed, but it is not quite gone
            self._loop.call_later(1.0, partial(self._reap, process))


def _in_memory(data: bytes) -> int:
    """A descriptor of a file in memory with this content."""
    try:
        fd = os.memfd_create("netjail-order", _MFD_CLOEXEC | _MFD_NOEXEC_SEAL)
    except OSError:  # before Linux 6.3
        fd = os.memfd_create("netjail-order", _MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        os.close(fd)
        raise
    return fd
