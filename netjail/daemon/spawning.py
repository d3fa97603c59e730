# SPDX-License-Identifier: GPL-3.0-or-later
"""The helper's side of the spawner (launch.spawner): starts it, has it fork, gives orders to the
children, hears of their ends.

All on the main loop's thread; nothing blocks. A spawner that has died is replaced when the next
child is wanted; the programs that it had started go on, but nobody knows any more how they end.
"""

from __future__ import annotations

import array
import marshal
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from netjail.daemon import log
from netjail.daemon.loop import READ, WRITE, Loop
from netjail.errors import NetjailError
from netjail.launch import inherit, spawner, wire

if TYPE_CHECKING:
    import subprocess

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
    offered: bool = False
    """The client has its own of these."""

    def close(self) -> None:
        for fd in (self.pidfd, self.status, self.channel):
            if fd >= 0:
                os.close(fd)


Offer = Callable[[Sequence[int]], None]
"""Told descriptors (pidfd, status pipe, channel) that are theirs from then on."""
Started = Callable[["Spawned | NetjailError"], None]
Ended = Callable[[int], None]


class Child:
    """A child of the spawner: wanted, on its way, waiting for our word, or at work.

    `order`: a launch.child.Order, for which it gets ready; it is not begun before `carry_out`.
    None: it waits for one.
    """

    def __init__(self, spawning: Spawning, number: int, cgroup: str | None) -> None:
        """`cgroup`: path of the version 2 one in which it is to be."""
        self._spawning = spawning
        self.number = number
        self.order: dict[str, Any] | None = None
        self._cgroup = cgroup
        self.message = marshal.dumps((number, cgroup))
        self._offer: Offer | None = None
        self._spawned: Spawned | None = None
        self._word = -1
        """The writing end of the pipe over which the child waits for our word."""
        self._wanted = False
        self._kept = False
        self._started: Started | None = None
        self.ended: Ended = lambda _status: None
        self._over = False
        self._again = True

    def take(self, order: dict[str, Any], offer: Offer | None = None) -> bool:
        """Get ready for this order; False: it is not in the order's cgroup, or has ended.

        `offer`: whoever is to have the client's descriptors before it is known whether it may.
        """
        if self._over or self.order is not None or _cgroup(order) != self._cgroup:
            return False
        self.order, self._offer = order, offer
        if self._spawned is not None:
            self._equip(self._spawned)
        return not self._over

    def carry_out(self, kept: bool, started: Started, ended: Ended) -> None:
        """Let it go on. `started` is told once, maybe before this returns; `ended` then the wait
        status, if the spawner lives to know it.

        `kept`: no client sends descriptors; `started` is told when the program was executed.
        """
        self._wanted, self._kept, self._started, self.ended = True, kept, started, ended
        if self._over:
            self._once_more()
        elif self._spawned is not None:
            self._go(self._spawned)

    def drop(self) -> None:
        """It is not wanted, unless it was: it ends by itself."""
        if not self._wanted and not self._over:
            self._over = True
            if self._spawned is not None:
                self._let_go(self._spawned)

    # For Spawning ------------------------------------------------------------------------------

    def forked(self, spawned: Spawned) -> None:
        if self._over:
            spawned.close()
            return
        self._spawned = spawned
        if self.order is not None:
            self._equip(spawned)

    def _equip(self, spawned: Spawned) -> None:
        """Send the order, and offer what the client needs to send its descriptors."""
        try:
            reader, self._word = os.pipe2(os.O_CLOEXEC)
            try:
                self._order(spawned, reader)
            finally:
                os.close(reader)
            if self._offer is not None:
                # not from within the request, to which nobody could answer yet
                self._spawning.soon(partial(self._make_offer, self._offer, spawned))
        except OSError as error:
            self._let_go(spawned)
            self.failed(NetjailError("system", f"the program cannot be started: {error.strerror}"))
            return
        if self._wanted:
            self._go(spawned)

    def _make_offer(self, offer: Offer, spawned: Spawned) -> None:
        if self._spawned is spawned and not self._wanted:
            copies: list[int] = []
            try:
                for fd in (spawned.pidfd, spawned.status, spawned.channel):
                    copies.append(os.dup(fd))
            except OSError:  # no descriptors left: they come with the answer, or not at all
                for fd in copies:
                    os.close(fd)
                return
            offer(tuple(copies))
            spawned.offered = True

    def gone(self, status: int) -> None:
        """It has ended."""
        if self.order is None:  # it has waited for too long
            self._over = True
            if self._spawned is not None:
                self._spawned.close()
        self.ended(status)

    def failed(self, error: NetjailError) -> None:
        """There will be no such child."""
        self._over = True
        if self._started is not None:
            started, self._started = self._started, None
            started(error)

    def lost(self) -> None:
        """The spawner has ended; a child that was forked can still go on."""
        if self._spawned is None:
            self.failed(
                NetjailError(
                    "system", "the spawner ended before the program was started", "try again"
                )
            )

    def _order(self, spawned: Spawned, reader: int) -> None:
        memory = _in_memory(marshal.dumps(self.order))
        try:
            with socket.socket(fileno=os.dup(spawned.channel)) as channel:
                flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
                socket.send_fds(channel, [wire.ORDER], [memory, reader], flags)
        finally:
            os.close(memory)

    def _let_go(self, spawned: Spawned) -> None:
        """End a child that has not been begun. It may be held up by the directory of a caller who
        had no right to have it entered (FUSE), so its own end is not waited for."""
        self._spawned = None
        try:
            signal.pidfd_send_signal(spawned.pidfd, signal.SIGKILL)
        except OSError:
            pass  # it has ended already
        spawned.close()
        self._close_word()

    def _close_word(self) -> None:
        word, self._word = self._word, -1
        if word >= 0:
            os.close(word)

    def _go(self, spawned: Spawned) -> None:
        self._spawned = None
        try:
            os.write(self._word, wire.BEGIN)
        except OSError:  # it has ended: because it had waited for too long, or it says why
            said = self._last_words(spawned)
            spawned.close()
            if said:
                self.failed(_failure(said))
            else:
                self._once_more()
            return
        finally:
            self._close_word()
        if self._kept:
            self._spawning.watch(spawned.channel, lambda: self._reported(spawned))
        else:
            self._tell(spawned)

    @staticmethod
    def _last_words(spawned: Spawned) -> bytes:
        with socket.socket(fileno=os.dup(spawned.channel)) as channel:
            channel.setblocking(False)
            return wire.receive(channel)

    def _once_more(self) -> None:
        assert self._started is not None
        assert self.order is not None
        if not self._again:
            self.failed(NetjailError("system", "the program cannot be started", "try again"))
            return
        another = self._spawning.prepare(self.order)
        another._again = False
        another.carry_out(self._kept, self._started, self.ended)

    def _reported(self, spawned: Spawned) -> None:
        """The child has said why it failed, or has closed the channel: by exec."""
        with socket.socket(fileno=spawned.channel) as channel:
            packet = wire.receive(channel)
        os.close(spawned.status)
        if packet:
            os.close(spawned.pidfd)
            self.failed(_failure(packet))
        else:
            self._tell(Spawned(spawned.pid, spawned.pidfd))

    def _tell(self, spawned: Spawned) -> None:
        assert self._started is not None
        started, self._started = self._started, None
        started(spawned)


class Spawning:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._queue: deque[Child] = deque()
        """Children that the spawner has not been told of yet."""
        self._children: dict[int, Child] = {}

    @property
    def pid(self) -> int:
        """The spawner's; 0: none runs."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Have a spawner ready. Raises NetjailError."""
        if self._socket is not None:
            return
        import subprocess  # not before the helper listens

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

    def prepare(
        self, order: dict[str, Any], spare: Child | None = None, offer: Offer | None = None
    ) -> Child:
        """Have a child made for an order, or take the spare one, if it is fit; the order is not
        begun before the child is told so. `offer`: see `Child.take`."""
        if spare is not None:
            if spare.take(order, offer):
                return spare
            spare.drop()
        child = self.spare(_cgroup(order))
        child.take(order, offer)
        return child

    def spare(self, cgroup: str | None) -> Child:
        """Have a child made before there is an order for it."""
        self._number += 1
        child = Child(self, self._number, cgroup)
        try:
            if len(self._queue) >= _WAITING_MAX:
                raise NetjailError("system", "too many programs are being started", "try again")
            self.start()
        except NetjailError as error:
            self._loop.call_soon(partial(child.failed, error))
            return child
        self._children[child.number] = child
        self._queue.append(child)
        self._flush()
        return child

    def soon(self, call: Callable[[], None]) -> None:
        self._loop.call_soon(call)

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Call once when there is something to read, or its end."""

        def ready(_events: int) -> None:
            self._loop.remove(fd)
            call()

        self._loop.add(fd, READ, ready)

    def _flush(self) -> None:
        while self._queue and self._socket is not None:
            try:
                self._socket.send(self._queue[0].message)
            except BlockingIOError:
                break
            except OSError:
                self._lost()
                return
            self._queue.popleft()
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
        child = self._children[rest[0]]
        if what == "forked":
            child.forked(Spawned(rest[1], fds[0], fds[1], fds[2]))
        elif what == "ended":
            del self._children[rest[0]]
            child.gone(rest[1])
        else:
            del self._children[rest[0]]
            child.failed(NetjailError("system", f"no process can be started: {rest[1]}"))

    def _lost(self) -> None:
        """The spawner has ended. What it was about is lost; the next child starts another."""
        log.warning("the spawner has ended unexpectedly; programs that run go on")
        self.close()
        if self._process is not None:
            self._reap(self._process)
            self._process = None
        self._queue.clear()
        children, self._children = self._children, {}
        for child in children.values():
            child.lost()

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:  # its socket is closed, but it is not quite gone
            self._loop.call_later(1.0, partial(self._reap, process))


def _cgroup(order: dict[str, Any]) -> str | None:
    return inherit.cgroup_of(order["inherited"]["cgroups"], "")


def _failure(packet: bytes) -> NetjailError:
    _, code, text, hint = wire.parse_failed(packet)
    # "exec" is no code of ours: for a client it stands beside an exit status
    code = "system" if code == "exec" else code
    return NetjailError.from_dict({"code": code, "message": text, "hint": hint})


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
