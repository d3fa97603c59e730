# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a caller runs: when its process began, and whether it sees the same files and users as the
helper does.

A process in a container, a Flatpak or another jail may reach our socket by a bind mount. Nothing
is done for it: its session is not the one that polkit would judge, its paths and users are not
ours, and a program that was put into one network must not be able to ask for another.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from dataclasses import replace

from netjail import names
from netjail.daemon.authorise import Peer
from netjail.errors import NetjailError

SO_PEERPIDFD = 77
"""linux/socket.h, since Linux 6.5; 3.11's socket module has no name for it."""
SO_PEERGROUPS = 59
"""asm-generic/socket.h, since Linux 4.13."""


def of_socket(sock: socket.socket, uid: int, gid: int, pid: int) -> Peer:
    """The peer at the other end of a connection, with its process held fast while it is looked at.

    Before Linux 6.5 the pid may already have been given to another process. What is read is then
    at least of one process, and polkit is told the uid that the kernel noted at connect(2).
    """
    peer = _at_other_end(sock, uid, gid, pid)
    return replace(peer, groups=_groups(sock), label=_label(sock))


def _at_other_end(sock: socket.socket, uid: int, gid: int, pid: int) -> Peer:
    if uid == 0:
        return Peer(uid, gid, pid)
    try:
        pidfd = sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError:
        return of_process(uid, gid, pid)
    try:
        return _look(uid, gid, pid, pidfd, None)
    finally:
        os.close(pidfd)


def _groups(sock: socket.socket) -> tuple[int, ...] | None:
    for most in (64, 65536):  # NGROUPS_MAX
        try:
            data = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * most)
        except OSError as error:
            if error.errno == errno.ERANGE:
                continue
            return None  # before Linux 4.13
        return tuple(memoryview(data).cast("I"))
    return None


def _label(sock: socket.socket) -> str | None:
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERSEC, 4096)
    except OSError:
        return None  # no security module that labels sockets
    return data.rstrip(b"\0").decode("utf-8", "surrogateescape")


def of_process(uid: int, gid: int, pid: int, sender: str | None = None) -> Peer:
    """The same for a process known by number alone."""
    if uid == 0:
        return Peer(uid, gid, pid, None, sender)
    try:
        pidfd = os.pidfd_open(pid)
    except (OSError, OverflowError, ValueError):
        return Peer(uid, gid, pid, None, sender, _ended(pid))
    try:
        return _look(uid, gid, pid, pidfd, sender)
    finally:
        os.close(pidfd)


def on_bus(uid: int, pid: int, sender: str, label: str | None) -> Peer:
    """A caller on the bus, whose uid, pid and label (a security context) the bus knows. Its group
    is the process's own, since the bus does not say which of them is the first."""
    peer = of_process(uid, _gid(pid), pid, sender)
    return replace(peer, start=peer.start or start_time(pid), label=label or None)


def _gid(pid: int) -> int:
    """The real group of a process; -1, which nobody has, if there is none."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return int(file.read().partition(b"\nGid:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        return -1


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the beginning of a process; None if there is none."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # The second field is the program's name, which may hold spaces and parentheses.
            return int(os.read(fd, 4096).rpartition(b")")[2].split()[19])
        finally:
            os.close(fd)
    except (OSError, IndexError, ValueError):
        return None


def _look(uid: int, gid: int, pid: int, pidfd: int, sender: str | None) -> Peer:
    start = start_time(pid)
    elsewhere = _elsewhere(pid)
    try:
        # It has not been waited for: what stood under its number just now was it.
        signal.pidfd_send_signal(pidfd, 0)
        alive = True
    except ProcessLookupError:
        alive = False
    except PermissionError:
        alive = True
    if start is None or not alive or start_time(pid) != start:
        elsewhere = _ended(pid)
    return Peer(uid, gid, pid, start, sender, elsewhere)


def _elsewhere(pid: int) -> NetjailError | None:
    for kind, what in (("user", "user namespace"), ("mnt", "mount namespace")):
        try:
            same = _identity(f"/proc/{pid}/ns/{kind}") == _identity(f"/proc/self/ns/{kind}")
        except OSError as error:
            return NetjailError(
                "not-authorised",
                f"process {pid}, which asks, cannot be looked at ({error.strerror})",
                "run the command as root: sudo netjail ...",
            )
        if not same:
            return _refusal(pid, what)
    return None


def _refusal(pid: int, what: str) -> NetjailError:
    jail = _jail(pid)
    if jail is not None:
        return NetjailError(
            "not-authorised",
            f"process {pid}, which asks, runs inside profile {jail}: what is inside one network "
            "cannot ask for another",
            "run the command outside of it, in another terminal",
        )
    return NetjailError(
        "not-authorised",
        f"process {pid}, which asks, runs in a {what} of its own (a container, a Flatpak or a "
        "snap): only programs of the host itself may ask",
        "run the command in a terminal of the host",
    )


def _jail(pid: int) -> str | None:
    """The profile in whose network a process runs."""
    try:
        network = _identity(f"/proc/{pid}/ns/net")
        for name in os.listdir(names.NETNS_DIR):
            if not name.startswith(names.NETNS_PREFIX):
                continue
            if _identity(f"{names.NETNS_DIR}/{name}") == network:
                return name.removeprefix(names.NETNS_PREFIX)
    except OSError:
        pass
    return None


def _ended(pid: int) -> NetjailError:
    return NetjailError(
        "not-authorised", f"process {pid}, which asked, has ended", "run the command again"
    )


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino
