# SPDX-License-Identifier: GPL-3.0-or-later
"""The spawner: the helper's small child process, which forks and lets `child` do the rest.

It exists because forking the helper, which has threads and is large, is neither safe nor quick.
Single-threaded, the standard library's cheap part only (a test holds the list). It never looks
into an order, and never holds a descriptor of a caller: nothing that a user could send gets here
(see `wire`). It lives as long as the helper does, and then until its last child has ended.

Started as `python3 -I -S .../launch/spawner.py`, with one end of a SOCK_SEQPACKET pair as
descriptor 0. Each message is one packet, in marshal's form:

    helper -> spawner  (number, path of the caller's version 2 cgroup or None)
    spawner -> helper  ("ready",)
                       ("forked", number, pid), with pidfd, status pipe and channel (see `wire`)
                       ("failed", number, why)
                       ("ended", number, wait status)
"""

# Started by path, the package is not importable yet. Its directory must not stay before the
# standard library's.
if not __package__:
    import sys

    _here = __file__.rpartition("/")[0]
    if sys.path and sys.path[0] == _here:
        del sys.path[0]
    sys.path.insert(0, _here.rpartition("/")[0].rpartition("/")[0])
    import netjail.names  # noqa: F401 - this netjail, no other

    del sys.path[0]

import _socket
import gc
import marshal
import posix
import select
import sys

from netjail.launch import child, inherit, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MESSAGE_MAX = 65536
_READ = select.EPOLLIN


class _Child:
    __slots__ = ("number", "pid", "pidfd", "status")

    def __init__(self, number: int, pid: int, pidfd: int, status: int) -> None:
        self.number = number
        self.pid = pid
        self.pidfd = pidfd
        self.status = status
        """The writing end of the status pipe."""


class Spawner:
    def __init__(self, helper: "_socket.socket") -> None:
        self._helper: _socket.socket | None = helper
        self._around = child.Surroundings()
        self._epoll = select.epoll()
        self._children: dict[int, _Child] = {}
        """By pidfd."""

    def run(self) -> None:
        """Until the helper and all children have ended."""
        assert self._helper is not None
        self._epoll.register(self._helper.fileno(), _READ)
        self._tell(("ready",))
        while self._helper is not None or self._children:
            for fd, _ in self._epoll.poll():
                if fd in self._children:
                    self._ended(self._children[fd])
                elif self._helper is not None and fd == self._helper.fileno():
                    self._asked()

    def _tell(self, message: "tuple[str | int | bytes, ...]", fds: "Sequence[int]" = ()) -> None:
        if self._helper is None:
            return
        controls = []
        if fds:
            data = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
            controls.append((_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data))
        try:
            self._helper.sendmsg([marshal.dumps(message)], controls)
        except OSError:
            self._forget_helper()

    def _forget_helper(self) -> None:
        """It has ended. Its programs go on, and have us as long as they do."""
        assert self._helper is not None
        self._epoll.unregister(self._helper.fileno())
        self._helper.close()
        self._helper = None

    def _asked(self) -> None:
        assert self._helper is not None
        try:
            packet = self._helper.recv(_MESSAGE_MAX)
        except OSError:
            packet = b""
        if not packet:
            self._forget_helper()
            return
        number, cgroup = marshal.loads(packet)  # noqa: S302 - from the helper
        try:
            self._start(number, cgroup)
        except OSError as error:
            self._tell(("failed", number, error.strerror or str(error)))

    def _start(self, number: int, cgroup: str | None) -> None:
        kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
        ours, theirs = (s.detach() for s in _socket.socketpair(_socket.AF_UNIX, kind))
        reader, writer = posix.pipe2(posix.O_CLOEXEC)
        made = None
        try:
            posix.set_blocking(writer, False)  # it is empty; but whatever its reader does to it
            pid = self._fork(cgroup)
            if pid == 0:
                child.run(theirs, self._around)
            made = _Child(number, pid, posix.pidfd_open(pid), writer)
            self._children[made.pidfd] = made
            # Ours of the child's end goes before anybody can send something over it: then it is
            # not we who have to throw it away.
            posix.close(theirs)
            theirs = -1
            self._tell(("forked", number, pid), (made.pidfd, reader, ours))
            self._epoll.register(made.pidfd, _READ)
        finally:
            for fd in (ours, theirs, reader, -1 if made else writer):
                if fd >= 0:
                    posix.close(fd)

    def _fork(self, cgroup: str | None) -> int:
        directory = None
        if cgroup is not None:
            directory = inherit.cgroup_directory(self._around.hierarchies, "", cgroup)
        if directory is None:
            return posix.fork()
        try:
            fd = posix.open(directory, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
            try:
                return processes.fork_into(fd)
            finally:
                posix.close(fd)
        except OSError:
            # An older kernel, or a cgroup that takes nobody: the child tries, and says so if it
            # cannot.
            return posix.fork()

    def _ended(self, made: _Child) -> None:
        pid, status = posix.waitpid(made.pid, posix.WNOHANG)
        if pid == 0:
            return
        self._epoll.unregister(made.pidfd)
        del self._children[made.pidfd]
        try:
            posix.write(made.status, b"%d" % status)
        except OSError:
            pass  # nobody reads it
        posix.close(made.status)
        posix.close(made.pidfd)
        self._tell(("ended", made.number, status))


def main() -> None:
    """Serve the helper at descriptor 0."""
    posix.closerange(3, child.DESCRIPTORS)
    processes.new_session_keyring()
    processes.set_name(b"netjail-spawner")
    posix.chdir("/")
    gc.collect()
    gc.disable()
    gc.freeze()  # else each child would copy what the collector touches
    Spawner(_socket.socket(fileno=0)).run()


if __name__ == "__main__":
    main()
