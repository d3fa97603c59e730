# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs hold sockets of another network: run by itself, as root, for a moment.

`python -I -S held.py DEV INO PID...`: one JSON object on stdout. A socket belongs for good to the
namespace in which it was made, whoever holds it; only the kernel can tell which that is (SIOCGSKNS,
Linux 4.9, on a copy of the descriptor by pidfd_getfd(2), Linux 5.6).

A process of its own, because closing what may have become the last copy of somebody's socket can
block for as long as its owner has set (SO_LINGER); not so for a process that is killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import sys

_SYS_PIDFD_GETFD = 438
_SIOCGSKNS = 0x894C
_SOCKETS_MAX = 20000
_FOUND_MAX = 32
_NOT_OF_A_NETWORK = (socket.AF_UNIX, 38, 40)  # AF_ALG, AF_VSOCK
_FAMILIES = {2: "IPv4", 10: "IPv6", 16: "netlink", 17: "packets"}
_TYPES = {1: "stream", 2: "datagram", 3: "raw", 5: "seqpacket"}
_libc = ctypes.CDLL(None, use_errno=True)


def namespace(fd: int) -> tuple[int, int]:
    """Device and inode of the network namespace of a socket."""
    netns = fcntl.ioctl(fd, _SIOCGSKNS)
    try:
        found = os.fstat(netns)
        return found.st_dev, found.st_ino
    finally:
        os.close(netns)


def what(sock: socket.socket) -> str:
    """A socket in words."""
    family = _FAMILIES.get(int(sock.family), f"family {int(sock.family)}")
    words = [family, _TYPES.get(int(sock.type), str(int(sock.type)))]
    try:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            host, port = sock.getpeername()[:2]
            words.append(f"to {host} port {port}")
    except OSError:
        pass
    return " ".join(words)


def sockets(pid: int) -> list[int]:
    """Descriptors that are sockets."""
    found = []
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{entry}").startswith("socket:"):
                found.append(int(entry))
        except OSError:
            continue
    return found


def strangers(pid: int, wanted: tuple[int, int]) -> list[dict[str, object]]:
    """The sockets of one process that belong to another namespace."""
    found: list[dict[str, object]] = []
    pidfd = os.pidfd_open(pid)
    try:
        inside = os.stat(f"/proc/{pid}/ns/net")
        if (inside.st_dev, inside.st_ino) != wanted:
            return found  # the number is another process's by now
        for number in sockets(pid):
            copy = _libc.syscall(_SYS_PIDFD_GETFD, pidfd, number, 0)
            if copy < 0:
                continue
            with socket.socket(fileno=copy) as sock:
                if int(sock.family) in _NOT_OF_A_NETWORK or namespace(copy) == wanted:
                    continue
                found.append({"pid": pid, "fd": number, "what": what(sock)})
    finally:
        os.close(pidfd)
    return found


def main(words: list[str]) -> dict[str, object]:
    """{held: [...], partly: whether some could not be looked at}."""
    wanted = int(words[0]), int(words[1])
    held: list[dict[str, object]] = []
    partly, looked = False, 0
    for pid in map(int, words[2:]):
        try:
            looked += len(os.listdir(f"/proc/{pid}/fd"))
            if looked > _SOCKETS_MAX or len(held) > _FOUND_MAX:
                partly = True
                break
            held += strangers(pid, wanted)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        except OSError:
            partly = True
    return {"held": held[:_FOUND_MAX], "partly": partly}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
