# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the user's programs run: /proc, read as the user."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netjail import names
from netjail.desktop.catalogue import App

_INTERPRETERS = ("python", "perl", "ruby", "node", "bash", "sh", "dash", "gjs", "gjs-console")


@dataclass(frozen=True, slots=True)
class Process:
    """`names`: what it may be called by: its executable's base name, or its script's. `net`: inode
    of its network namespace, None where that cannot be seen. `flatpak`: its application's id."""

    pid: int
    parent: int
    names: frozenset[str]
    argv: tuple[str, ...]
    net: int | None
    flatpak: str = ""


def jail(profile: str) -> int | None:
    """The inode of a profile's network namespace; None: it is down."""
    try:
        found = os.stat(f"{names.NETNS_DIR}/{names.netns_name(profile)}")
    except OSError:
        return None
    # a plain file is what is left where somebody was killed between making and mounting it
    return found.st_ino if found.st_size == 0 and not _empty_file(found) else None


def _empty_file(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_dev == os.stat(names.NETNS_DIR).st_dev


def profile_of(net: int | None) -> str | None:
    """The profile whose namespace this is, if it is one's."""
    if net is None:
        return None
    try:
        listed = os.listdir(names.NETNS_DIR)
    except OSError:
        return None
    for name in listed:
        profile = name.removeprefix(names.NETNS_PREFIX)
        if name != profile and jail(profile) == net:
            return profile
    return None


def processes(uid: int | None = None) -> Iterator[Process]:
    """The processes of a user (default: our own) that show themselves to us."""
    wanted = os.getuid() if uid is None else uid
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            found = process(int(entry), wanted)
            if found is not None:
                yield found


def process(pid: int, uid: int | None = None) -> Process | None:
    """One process; None where it has ended, is a zombie, or belongs to somebody else."""
    where = f"/proc/{pid}"
    try:
        if uid is not None and os.stat(where).st_uid != uid:
            return None
        exe = os.readlink(f"{where}/exe").removesuffix(" (deleted)")
        with open(f"{where}/cmdline", "rb") as file:
            words = file.read(1 << 16).rstrip(b"\0").split(b"\0")
        with open(f"{where}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    argv = tuple(os.fsdecode(word) for word in words)
    base = os.path.basename(exe)
    called = {base}
    if base.rstrip("0123456789.") in _INTERPRETERS and len(argv) > 1:
        script = next((word for word in argv[1:] if not word.startswith("-")), "")
        called = {os.path.basename(script)}
    return Process(pid, int(fields[1]), frozenset(called), argv, net_of(pid), _flatpak(where))


def net_of(pid: int) -> int | None:
    """The inode of a process's network namespace; None where we may not see it."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def _flatpak(where: str) -> str:
    """The application's id where the process sees flatpak's file in its root."""
    try:
        with open(f"{where}/root/.flatpak-info", encoding="utf-8", errors="replace") as file:
            for line in file.read(4096).splitlines():
                if line.startswith("name="):
                    return line.removeprefix("name=").strip()
    except OSError:
        pass
    return ""


def copies(app: App, found: Iterable[Process], flatpak: str = "") -> list[Process]:
    """The running copies of a program, one process each: children of a copy do not count.

    Those of a flatpak and of a plain program do not meet.
    """
    same = {
        p.pid: p
        for p in found
        if not app.processes.isdisjoint(p.names) and p.flatpak == flatpak and p.argv != ("",)
    }
    return [p for p in same.values() if p.parent not in same]


def place(net: int | None) -> str:
    """Where that is, in words."""
    profile = profile_of(net)
    return f"in the profile {profile}" if profile else "outside"
