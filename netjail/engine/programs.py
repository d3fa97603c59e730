# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs run inside which jail: one walk over /proc, by the namespace's inode."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from netjail.engine.record import Record

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Program:
    """A process inside a jail. `started`: seconds since the epoch."""

    profile: str
    pid: int
    ppid: int
    uid: int
    command: str
    argv: tuple[str, ...]
    started: float


def inside(records: Sequence[Record], known: Sequence[Record]) -> list[Program]:
    """All processes in the namespaces of `records`, by pid; those that serve a jail of `known`
    (the wireguard-go of a tunnel that goes through another jail) are not programs."""
    # By what the link says: stat(2) would tell the same, and take twice as long for each process.
    wanted = {f"net:[{r.namespace[1]}]": r.profile for r in records if r.namespace is not None}
    if not wanted:
        return []
    serving = {(p.pid, p.started) for r in known for p in r.processes}
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            namespace = os.readlink(f"/proc/{entry}/ns/net")
        except OSError:  # ended, or a zombie
            continue
        profile = wanted.get(namespace)
        if profile is not None:
            program = _read(profile, int(entry), serving)
            if program is not None:
                found.append(program)
    return sorted(found, key=lambda program: program.pid)


def _read(profile: str, pid: int, serving: set[tuple[int, int]]) -> Program | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")[:-1]
        with open(f"/proc/{pid}/status", "rb") as file:
            uid = next(line for line in file if line.startswith(b"Uid:")).split()[1]
    except (OSError, StopIteration):
        return None
    name, _, rest = stat[stat.index(b"(") + 1 :].rpartition(b")")
    values = rest.split()
    if (pid, int(values[19])) in serving:
        return None
    return Program(
        profile=profile,
        pid=pid,
        ppid=int(values[1]),
        uid=int(uid),
        command=name.decode(errors="replace"),
        argv=tuple(word.decode(errors="replace") for word in words),
        started=_boot_time() + int(values[19]) / _TICKS,
    )


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
