# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program inherits from whoever starts it, read of a process that asks the helper to do so.

All of it comes from the kernel, /proc/PID first of all: nothing that the asking process could say
of itself. The spawner's child takes it on (see `inherit`).
"""

import posix

from netjail.launch import inherit, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class Inherited(TypedDict):
        """Of plain values only, so that marshal carries it to the spawner.

        `limits`: (soft, hard) of each resource in the order of the kernel's numbers, -1 unlimited.
        `bounding`: capabilities, as bits. `io_priority`: see ioprio_set(2). `cgroups`: /proc/PID/
        cgroup. `login`: the audit system's login uid, 2**32 - 1 none.
        """

        bounding: int
        no_new_privileges: bool
        nice: int
        policy: int
        priority: int
        affinity: list[int]
        io_priority: int
        oom: int
        limits: list[tuple[int, int]]
        cgroups: str
        login: int


NO_LOGIN = 2**32 - 1
_UNLIMITED = -1
_NO_APPARMOR = (2, 22)
"""ENOENT: the kernel is built without it; EINVAL: it is switched off."""


class ChangedError(Exception):
    """The process is not (any more) the plain process of that user; the text says why."""


def read(pid: int, uid: int, gid: int) -> "tuple[Inherited, list[int]]":
    """What `pid`, which asked as `uid` and `gid`, hands down; and its supplementary groups.

    Raises ChangedError, OSError (it has ended).
    """
    limits = parse_limits(_read(pid, "limits"))
    # Only now: whoever became another user meanwhile (sudo) may have got other limits, which are
    # not to be handed down.
    status = _status(pid)
    _judge(status, uid, gid)
    inherited: Inherited = {
        "bounding": int(status["CapBnd"], 16),
        "no_new_privileges": status.get("NoNewPrivs") == "1",
        "nice": posix.getpriority(posix.PRIO_PROCESS, pid),
        "policy": posix.sched_getscheduler(pid),
        "priority": posix.sched_getparam(pid).sched_priority,
        "affinity": sorted(posix.sched_getaffinity(pid)),
        "io_priority": processes.get_io_priority(pid),
        "oom": int(_read(pid, "oom_score_adj")),
        "limits": limits,
        "cgroups": _read(pid, "cgroup"),
        "login": _login(pid),
    }
    return inherited, [int(word) for word in status["Groups"].split()]


def cgroup(pid: int) -> str | None:
    """The version 2 cgroup of a process. Raises OSError."""
    return inherit.cgroup_of(_read(pid, "cgroup"), "")


def _judge(status: dict[str, str], uid: int, gid: int) -> None:
    if set(status["Uid"].split()) != {str(uid)} or set(status["Gid"].split()) != {str(gid)}:
        raise ChangedError("it runs, in part, as another user than the one that asked")
    # A filter of system calls cannot be handed down; without it the program would be freer than
    # who asked for it. Those that the helper itself has (a container's) all of us have.
    filters = int(status.get("Seccomp_filters", "0"))
    if filters and filters > own_filters():
        raise ChangedError("it runs under a filter of system calls (seccomp), as sandboxes do")


def own_filters() -> int:
    """How many filters of system calls this process has."""
    return int(_status("self").get("Seccomp_filters", "0"))


def _status(pid: "int | str") -> dict[str, str]:
    fields = {}
    for line in _read(pid, "status").split("\n"):
        name, _, value = line.partition(":")
        fields[name] = value.strip()
    return fields


def parse_limits(text: str) -> list[tuple[int, int]]:
    """/proc/PID/limits: one line each in the order of the numbers, after a heading.

    prlimit(2) would need CAP_SYS_RESOURCE, which a container's root may lack.
    """
    return [(_limit(line[26:47]), _limit(line[47:68])) for line in text.split("\n")[1:] if line]


def _limit(text: str) -> int:
    text = text.strip()
    return _UNLIMITED if text == "unlimited" else int(text)


def _login(pid: int) -> int:
    try:
        return int(_read(pid, "loginuid"))
    except FileNotFoundError:
        return NO_LOGIN  # a kernel without the audit system


def label(pid: int) -> str | None:
    """The AppArmor profile that confines a process, as "NAME (mode)"; None: no AppArmor here.

    Before Linux 6.17 AppArmor has no answer to SO_PEERSEC for a Unix socket, hence none for the
    bus either.
    """
    try:
        return _read(pid, "attr/apparmor/current").rstrip("\n\0") or None
    except OSError as error:
        if error.errno in _NO_APPARMOR:
            return None
        raise


def _read(pid: "int | str", name: str) -> str:
    fd = posix.open(f"/proc/{pid}/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = b""
        while chunk := posix.read(fd, 16384):
            data += chunk
    finally:
        posix.close(fd)
    return data.decode("utf-8", "surrogateescape")


def environment(pid: int) -> list[str]:
    """The environment that a process was started with."""
    return [entry for entry in _read(pid, "environ").split("\0") if entry]


def umask(pid: int) -> int:
    """Its file mode creation mask."""
    return int(_status(pid)["Umask"], 8)
