# SPDX-License-Identifier: GPL-3.0-or-later
"""The `enter` file of a jail from the engine's side: written, locked, taken away.

Whoever enters holds a shared lock on it until his exec, so who holds it exclusively knows that
nobody is half way in.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from netjail import names
from netjail.engine import files
from netjail.errors import NetjailError
from netjail.launch import spawner

WAIT_SECONDS = 10.0
"""Entering takes a millisecond; whoever takes longer was stopped on the way, or waits for us."""


def is_open(name: str) -> bool:
    """Whether the jail may be entered."""
    return os.path.exists(names.enter_file(name))


def open_(name: str, text: str) -> None:
    """Let programs in, by this text. Who is entering by an older one is inside before it goes."""
    with locked(name):
        files.write(names.enter_file(name), text, 0o600)


def shut(name: str) -> None:
    """Let nobody in any more. Idempotent."""
    try:
        os.unlink(names.enter_file(name))
    except FileNotFoundError:
        pass


@contextmanager
def locked(name: str) -> Iterator[bool]:
    """For the time of the block nobody is entering; False where the jail is not open anyway.

    Raises NetjailError("in-use") when somebody does not get on with it.
    """
    try:
        fd = os.open(names.enter_file(name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        _lock(fd, name)
        yield True
    finally:
        os.close(fd)


def _lock(fd: int, name: str) -> None:
    deadline, killed = time.monotonic() + WAIT_SECONDS, False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                if not killed and _end_stuck(fd):
                    killed, deadline = True, time.monotonic() + 2.0
                    continue
                raise NetjailError(
                    "in-use",
                    f"a program that was entering {name} has not got inside for {WAIT_SECONDS:g} s",
                    f"it may be stopped; `fuser {names.enter_file(name)}` shows its number",
                ) from None
            time.sleep(0.001)


def _end_stuck(fd: int) -> bool:
    """Kill those of the spawner's children that hold the lock still: in a frozen cgroup, which a
    user may have had them join, they would hold it for ever. Whether there were any."""
    found = False
    for pid in _holders(fd):
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            if _is_spawned(pid) and pid in _holders(fd):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                found = True
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)
    return found


def _holders(fd: int) -> list[int]:
    """Processes that have locked the file (proc_locks(5)), by their numbers."""
    inode = os.fstat(fd).st_ino
    found = []
    with open("/proc/locks", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if "FLOCK" in words and words[-3].rpartition(":")[2] == str(inode):
                found.append(int(words[-4]))
    return found


def _is_spawned(pid: int) -> bool:
    """Whether a process is a child of a spawner, and root's yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            parent = int(file.read().rpartition(b")")[2].split()[1])
        with open(f"/proc/{parent}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        return os.path.abspath(spawner.__file__).encode() in words and not (
            os.stat(f"/proc/{parent}").st_uid
        )
    except (OSError, ValueError, IndexError):
        return False
