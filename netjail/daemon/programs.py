# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs inside jails: naming them, signalling them, ending them. Pids only by pidfd, which
cannot come to mean another process."""

from __future__ import annotations

import errno
import os
import pwd
import select
import signal
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from netjail.daemon.rooms import Engine, Program
from netjail.errors import NetjailError

TERM_SECONDS = 5.0
"""Between SIGTERM and SIGKILL."""
KILL_ROUNDS = 5
ARGV_MAX = 4096
"""Characters of a command line that are reported; some are megabytes."""


def as_dict(program: Program) -> dict[str, Any]:
    """A program as `ps` and `status` report it."""
    return {
        "profile": program.profile,
        "pid": program.pid,
        "ppid": program.ppid,
        "uid": program.uid,
        "user": _user(program.uid),
        "command": program.command,
        "argv": _shortened(program.argv),
        "started": program.started,
    }


def sentence(programs: Sequence[Program], pids: Collection[int]) -> str:
    """For an error: "2 programs run in it: firefox (812), curl (900)"."""
    known = {program.pid: program.command for program in programs}
    shown = [f"{known[pid]} ({pid})" if pid in known else f"process {pid}" for pid in sorted(pids)]
    more = ", ..." if len(shown) > 5 else ""
    count = "a program runs" if len(pids) == 1 else f"{len(pids)} programs run"
    return f"{count} in it: {', '.join(shown[:5])}{more}"


def send(
    engine: Engine,
    name: str,
    pids: Sequence[int] | None,
    number: int,
    uid: int | None = None,
) -> list[int]:
    """Signal programs of one jail (None: all), with `uid` only that user's. Returns the pids that
    got it.

    Raises NetjailError (usage) before anything is sent if one of `pids` is not inside.
    """
    wanted = [each.pid for each in engine.programs([name])] if pids is None else list(pids)
    descriptors = _open(wanted)
    try:
        # Looked up after the pidfds were opened: what is listed now is what they refer to, or
        # the process they refer to has ended and the signal goes nowhere.
        inside = {each.pid for each in engine.programs([name]) if uid in (None, each.uid)}
        outside = [pid for pid in wanted if pid not in inside]
        if outside and pids is not None:
            raise NetjailError(
                "usage",
                f"process {outside[0]} does not run in profile {name}; nothing was signalled",
                f"netjail ps {name}",
            )
        return [pid for pid, fd in descriptors.items() if pid in inside and _signal(fd, number)]
    finally:
        _close(descriptors.values())


def end(engine: Engine, names: Collection[str]) -> list[int]:
    """End every program in these jails: SIGTERM, TERM_SECONDS, SIGKILL. Returns what is left over.

    Nothing may be able to enter meanwhile (Engine.close).
    """
    wait = TERM_SECONDS
    for attempt in range(1 + KILL_ROUNDS):
        descriptors = _open([each.pid for each in engine.programs(names)])
        try:
            inside = {each.pid for each in engine.programs(names)} if descriptors else set()
            ours = {pid: fd for pid, fd in descriptors.items() if pid in inside}
            if not ours:
                return []
            for fd in ours.values():
                if attempt == 0:
                    _signal(fd, signal.SIGTERM)
                    _signal(fd, signal.SIGCONT)  # a stopped one would not hear it
                else:
                    _signal(fd, signal.SIGKILL)
            _wait_all(ours.values(), wait)
        finally:
            _close(descriptors.values())
        # Later rounds are for what was forked while we looked; death by SIGKILL takes no time.
        wait = 1.0
    return [each.pid for each in engine.programs(names)]


def _open(pids: Iterable[int]) -> dict[int, int]:
    descriptors = {}
    for pid in pids:
        try:
            descriptors[pid] = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                continue  # a thread's number, not a process's
            _close(descriptors.values())
            raise
    return descriptors


def _close(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _signal(fd: int, number: int) -> bool:
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    return True


def _wait_all(descriptors: Iterable[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    poll = select.poll()
    waiting = set(descriptors)
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for fd, _events in poll.poll(left * 1000):
            poll.unregister(fd)
            waiting.discard(fd)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _shortened(argv: Sequence[str]) -> list[str]:
    short, left = [], ARGV_MAX
    for word in argv:
        if len(word) > left:
            short.append(word[:left] + "...")
            break
        short.append(word)
        left -= len(word)
    return short


def running(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
