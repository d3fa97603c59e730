# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned applications that run outside their profile: what the pins say against the process table.

Nothing is watched here: `look` reads /proc once. The kernel's process connector would tell of each
start, but only to root (CAP_NET_ADMIN), and the helper is not to know of anybody's pins. So whoever
wants to watch calls `look` when something happens (a menu is opened, a profile changes its state)
and otherwise every INTERVAL seconds, and not at all where nothing is pinned.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from netjail import names
from netjail.desktop import entries, pins, quick, rewrite
from netjail.desktop.keyfile import KeyFile

INTERVAL = 30.0
"""Seconds between two looks that nothing has led to."""

_INTERPRETERS = {
    *("sh", "bash", "dash", "zsh", "env", "perl", "python", "ruby", "node", "java", "mono", "gjs"),
    *("wine", "flatpak", "snap", "bwrap"),
}
"""Executables that say nothing about what they run."""
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this user. `exe`: path of the executable; `netns`: inode of its network
    namespace; `started`: clock ticks since boot, with which the pid is unique."""

    pid: int
    ppid: int
    exe: str
    argv: tuple[str, ...]
    cgroup: str
    netns: int
    started: int


@dataclass(frozen=True, slots=True)
class Marks:
    """By what an application's processes are known.

    `paths`: its program, by every name; `base`: what the executable is called, where that says
    something; `flatpak`, `snap`: its id there, or "".
    """

    paths: frozenset[str]
    base: frozenset[str]
    flatpak: str = ""
    snap: str = ""


@dataclass(frozen=True, slots=True)
class Outside:
    """A pinned application that runs where it should not. `where`: the profile whose network it
    has, "" for the host's. `pids`: its first processes, not their children."""

    entry_id: str
    profile: str
    where: str
    pids: tuple[int, ...]
    started: tuple[int, ...]


# pure


def belongs(process: Process, marks: Marks) -> bool:
    """Whether a process is one of an application's."""
    if marks.flatpak:
        return f"/app-flatpak-{marks.flatpak}-" in process.cgroup
    if marks.snap:
        return process.exe.startswith(f"/snap/{marks.snap}/")
    exe = process.exe
    if exe in marks.paths or os.path.basename(exe) in marks.base:
        return True
    if os.path.basename(exe).rstrip("0123456789.") not in _INTERPRETERS:
        return False
    # A script: its path is the interpreter's first argument that is no option.
    script = next((word for word in process.argv[1:] if not word.startswith("-")), "")
    return script in marks.paths


def outside(
    pinned: Sequence[tuple[str, str, Marks]],
    table: Sequence[Process],
    jails: Mapping[int, str],
    host: int,
) -> list[Outside]:
    """What runs outside.

    `pinned`: (ID, profile, marks); `jails`: inode of each profile's namespace to its name;
    `host`: inode of the namespace of the session. A process in any other namespace has made that
    itself, as the sandboxes of browsers do: it says nothing.
    """
    found = []
    for entry_id, profile, marks in pinned:
        groups: dict[str, list[Process]] = {}
        for process in table:
            if process.netns == host:
                where = ""
            elif process.netns in jails:
                where = jails[process.netns]
            else:
                continue
            if where != profile and belongs(process, marks):
                groups.setdefault(where, []).append(process)
        for where, members in sorted(groups.items()):
            inside = {process.pid for process in members}
            first = [process for process in members if process.ppid not in inside]
            found.append(
                Outside(
                    entry_id,
                    profile,
                    where,
                    tuple(process.pid for process in first),
                    tuple(process.started for process in first),
                )
            )
    return found


def marks_of(source: bytes, which: Callable[[str], str | None] = shutil.which) -> Marks | None:
    """By what the processes of an entry (not one of ours) are known; None: by nothing."""
    main = KeyFile(source).items(rewrite.MAIN)
    flatpak, snap = main.get("X-Flatpak", ""), main.get("X-SnapInstanceName", "")
    if flatpak or snap:
        return Marks(frozenset(), frozenset(), flatpak, snap)
    name = rewrite.program(quick.string(main.get("Exec", "")))
    path = None if name is None else which(name)
    if path is None:
        return None
    real = os.path.realpath(path)
    paths = frozenset({path, real})
    # /usr/bin/firefox is often a script that starts /usr/lib/firefox/firefox
    base = {os.path.basename(each) for each in paths}
    base = {each for each in base if each.rstrip("0123456789.") not in _INTERPRETERS}
    if not base:
        return None
    return Marks(paths, frozenset(base))


# the process table


def look() -> list[Outside]:
    """Which pinned applications of this user run outside their profiles now."""
    pinned = []
    for pin in pins.pins():
        source = pins.source_of(pin.entry_id)
        marks = None if source is None else marks_of(source)
        if marks is not None:
            pinned.append((pin.entry_id, pin.profile, marks))
    if not pinned:
        return []
    return outside(pinned, processes(), jails(), os.stat("/proc/self/ns/net").st_ino)


def jails() -> dict[int, str]:
    """The inode of each profile's namespace, as far as they are up."""
    found = {}
    try:
        listed = os.listdir(names.NETNS_DIR)
    except OSError:
        return {}
    for name in listed:
        if name.startswith(names.NETNS_PREFIX):
            try:
                inode = os.stat(os.path.join(names.NETNS_DIR, name)).st_ino
            except OSError:
                continue
            found[inode] = name.removeprefix(names.NETNS_PREFIX)
    return found


def processes(proc: str = "/proc") -> list[Process]:
    """This user's own. Whatever ends meanwhile is left out."""
    uid = os.geteuid()
    found = []
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        directory = f"{proc}/{name}"
        try:
            if os.stat(directory).st_uid != uid:
                continue
            process = _read(int(name), directory)
        except (OSError, ValueError, IndexError):  # ended, or another's after all
            continue
        found.append(process)
    return found


def _read(pid: int, directory: str) -> Process:
    netns = os.readlink(f"{directory}/ns/net")  # "net:[4026531840]"
    exe = os.readlink(f"{directory}/exe").removesuffix(_DELETED)  # after an upgrade
    with open(f"{directory}/stat", "rb") as file:
        values = file.read().rpartition(b")")[2].split()
    with open(f"{directory}/cmdline", "rb") as file:
        words = file.read().split(b"\0")[:-1]
    with open(f"{directory}/cgroup", encoding="utf-8", errors="replace") as text:
        cgroup = text.read()
    return Process(
        pid,
        int(values[1]),
        exe,
        tuple(os.fsdecode(word) for word in words),
        cgroup,
        int(netns[len("net:[") : -1]),
        int(values[19]),
    )


# and what to do about it


def end(found: Outside, seconds: float = 10.0) -> bool:
    """Ask what runs outside to end (SIGTERM), and wait; whether all of it has."""
    waiting: list[int] = []
    try:
        for pid, started in zip(found.pids, found.started, strict=True):
            try:
                fd = os.pidfd_open(pid)
            except OSError:
                continue
            waiting.append(fd)
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    same = int(file.read().rpartition(b")")[2].split()[19]) == started
                if same:
                    signal.pidfd_send_signal(fd, signal.SIGTERM)
                    continue
            except (OSError, ValueError, IndexError):
                pass
            waiting.pop()
            os.close(fd)
        deadline = time.monotonic() + seconds
        for fd in waiting:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([fd], [], [], left)[0]:
                return False
        return True
    finally:
        for fd in waiting:
            os.close(fd)


def command(entry_id: str, uris: Sequence[str] = ()) -> list[str]:
    """The words that start a pinned application where it belongs, errors shown to the user.

    Raises NetjailError.
    """
    from netjail.desktop import execline

    entry = entries.find(entry_id)
    profile = pins.profile_of(entry.id)
    words = execline.expand(entry, uris)
    if profile is None:
        return words
    return [pins.netjail_program(), "run", "--notify", profile, "--", *words]
