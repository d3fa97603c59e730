# SPDX-License-Identifier: GPL-3.0-or-later
"""Which programs run inside which jail: one walk over /proc, by the namespace's inode."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from netjail import names
from netjail.engine.record import Record
from netjail.uplinks.wanted_lan import AdoptedNetns

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
    wanted = [(f"net:[{r.namespace[1]}]", r) for r in records if r.namespace is not None]
    if not wanted:
        return []
    serving = {(p.pid, p.started) for r in known for p in r.processes}
    census = _census.take()
    found = [
        _read(record.profile, pid, serving)
        for namespace, record in wanted
        for pid in census.get(namespace, ())
        if record.find(AdoptedNetns) is None or _sees_our_files(record.profile, pid)
    ]
    return sorted((p for p in found if p is not None), key=lambda program: program.pid)


def _sees_our_files(profile: str, pid: int) -> bool:
    """Whether we have started a program, or what started it: in a namespace that is somebody
    else's are programs that are none of our business."""
    try:
        seen = os.readlink(f"/proc/{pid}/root/etc/resolv.conf")
    except OSError:
        return False
    return seen == f"{names.view_dir(profile)}/dns/resolv.conf"


class _Census:
    """Who is in which namespace, for several threads at once.

    `down --all` asks once for each jail, and a walk takes 5 us a process. Whoever asks gets a walk
    that began after he did; those who ask while one is under way share the next.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._walking = False
        self._begun = self._ended = 0
        self._found: dict[str, list[int]] = {}

    def take(self) -> dict[str, list[int]]:
        """Pids by what the link /proc/PID/ns/net says."""
        with self._changed:
            wanted = self._begun + 1
            while self._walking and self._ended < wanted:
                self._changed.wait()
            if self._ended >= wanted:
                return self._found
            self._walking = True
            self._begun = number = self._begun + 1
        found = None
        try:
            found = _walk()
            return found
        finally:
            with self._changed:
                self._walking = False
                if found is not None:
                    self._found, self._ended = found, number
                self._changed.notify_all()


_census = _Census()


def _walk() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    directory = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    namespace = os.readlink(f"{entry}/ns/net", dir_fd=directory)
                except OSError:  # ended, or a zombie
                    continue
                found.setdefault(namespace, []).append(int(entry))
    finally:
        os.close(directory)
    return found


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
