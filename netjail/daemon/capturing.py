# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures: tcpdump in a jail, started by launch.sniffer; its pipes go to whoever asked.

The pipes are ours and made here, so that nothing of a caller's is opened, written or closed by
root. A capture ends when its caller lets the leash go, with the caller's own end if need be, and
outlives the helper like every program in a jail.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import select
import sys
import threading
from typing import TYPE_CHECKING, Any

from netjail.errors import NetjailError

if TYPE_CHECKING:
    import subprocess

CAPTURES_PER_USER = 8
"""That one user may have going on; root has no such limit."""
_PIPE_SIZE = 1 << 20
"""Bytes of packets that wait for a slow reader before tcpdump, and then the kernel's buffer, do."""
_USERS = ("tcpdump", "nobody")

_running: dict[int, int] = {}
"""pid of a launch.sniffer to the user whose capture it is."""
_lock = threading.Lock()
_adopted = False
_PYTHONS_OWN = 3
"""Words of the command line before the program's: python3 -I -S."""


class Captured(dict[str, Any]):
    """The result of `capture`. `fds` go with it: where the packets come out, where tcpdump's words
    do, and the leash, whose closing ends it. They belong to whoever gets it."""

    def __init__(self, result: dict[str, Any], fds: tuple[int, ...]) -> None:
        super().__init__(result)
        self.fds = fds

    def close(self) -> None:
        """Nobody wants it any more."""
        for fd in self.fds:
            os.close(fd)


def begin(
    profile: str, interface: str, words: list[str], *, snap: int, count: int, live: bool, uid: int
) -> Captured:
    """Start a capture for a user. Raises NetjailError; what tcpdump itself does not like, the
    filter for instance, it says over its pipe.

    `snap`: bytes of each packet, 0: all. `count`: packets after which it ends, 0: never.
    `live`: packets come at once rather than in bundles, which costs more.
    """
    options = [f"-s{snap}"]
    options += [f"-c{count}"] if count else []
    options += ["--immediate-mode"] if live else []
    if uid != 0 and len(of(uid)) >= CAPTURES_PER_USER:
        raise NetjailError(
            "system",
            f"you have {CAPTURES_PER_USER} captures going on already, and that is the most",
            "end one with Ctrl-C, or the program that reads it",
        )
    captured, process = _start([profile, _user(), str(uid), interface, *options, "--", *words])
    with _lock:
        _running[process.pid] = uid
    threading.Thread(target=_wait, args=(process,), name="capture", daemon=True).start()
    return captured


def of(uid: int) -> list[int]:
    """Processes whose children are the user's captures, though other users by number. Those that a
    helper before us has started are among them."""
    _adopt()
    with _lock:
        return [pid for pid, owner in _running.items() if owner == uid]


def _adopt() -> None:
    """Find captures that an earlier helper has started, once."""
    from netjail.launch import sniffer

    global _adopted  # noqa: PLW0603 - one helper, one look
    with _lock:
        if _adopted:
            return
        _adopted = True
        path = os.path.abspath(sniffer.__file__).encode()
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in _running:
                continue
            owner = _owner(entry, path)
            if owner is None:
                continue
            try:
                pidfd = os.pidfd_open(int(entry))
            except OSError:
                continue
            if _owner(entry, path) != owner:  # it was another's number by then
                os.close(pidfd)
                continue
            _running[int(entry)] = owner
            args = (int(entry), pidfd)
            threading.Thread(target=_wait_for, args=args, name="capture", daemon=True).start()


def _owner(pid: str, path: bytes) -> int | None:
    """Whose capture a process is; None: it is none. Only root's own can be believed."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            uids = file.read().partition(b"\nUid:")[2].split()[:4]
        if uids != [b"0"] * 4 or _mounts(pid) != _mounts("self"):
            return None
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        at = words.index(path)
        return int(words[at + 3]) if at <= _PYTHONS_OWN else None
    except (OSError, ValueError, IndexError):
        return None


def _mounts(pid: str) -> tuple[int, int]:
    found = os.stat(f"/proc/{pid}/ns/mnt")
    return found.st_dev, found.st_ino


def _wait_for(pid: int, pidfd: int) -> None:
    select.select([pidfd], [], [])
    os.close(pidfd)
    with _lock:
        _running.pop(pid, None)


def _start(words: list[str]) -> tuple[Captured, subprocess.Popen[bytes]]:
    import subprocess  # late: not before the helper listens

    from netjail.launch import sniffer

    ours: list[int] = []
    theirs: list[int] = []
    try:
        for outward in (False, True, True):
            reader, writer = os.pipe()
            ours.append(reader if outward else writer)
            theirs.append(writer if outward else reader)
        try:
            fcntl.fcntl(ours[1], fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        except OSError:
            pass  # a smaller one does, too
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.abspath(sniffer.__file__), *words],
            stdin=theirs[0],
            stdout=theirs[1],
            stderr=theirs[2],
            cwd="/",
            env={"LANG": "C.UTF-8"},
            start_new_session=True,
        )
    except OSError as error:
        for fd in ours:
            os.close(fd)
        raise NetjailError("system", f"a capture cannot be started: {error.strerror}") from None
    finally:
        for fd in theirs:
            os.close(fd)
    leash, packets, said = ours
    return Captured({"profile": words[0]}, (packets, said, leash)), process


def _wait(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    with _lock:
        del _running[process.pid]


def _user() -> str:
    """The one that Debian's package makes, else nobody."""
    for name in _USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise NetjailError("system", "this system has no user `nobody`, as whom tcpdump would run")
