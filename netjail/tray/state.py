# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tray knows, as frozen values: menu, icon and notifications are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Look = Literal["down", "up", "degraded", "failed"]

USABLE = ("up", "degraded")
"""States of a jail in which programs can be started."""
LIVE = ("starting", "up", "degraded", "stopping", "failed")
"""States in which there is a jail, or may be."""


@dataclass(frozen=True, slots=True)
class Program:
    """An application in a jail: the process that was started there and all that came of it.

    `pids`: its own first. `mine`: whether it is the user's own.
    """

    command: str
    pids: tuple[int, ...]
    mine: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """A server of a pool. `country`: its code, "" unknown."""

    name: str
    country: str = ""
    country_name: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """As the helper's bus shows it. `since`: unix seconds of the change to `state`, or None.

    `place`: of a pool, the name of the server in use. `places`: all of them, once somebody has
    opened its menu.

    `exit_address`: what the last check saw as the address others see; "" unknown.
    `received`, `sent`: bytes, as they were when somebody last looked.
    """

    name: str
    state: str = "down"
    description: str = ""
    reason: str = ""
    uplink: str = ""
    since: int | None = None
    endpoint: str = ""
    place: str = ""
    exit_address: str = ""
    received: int = 0
    sent: int = 0
    programs: tuple[Program, ...] = ()
    places: tuple[Place, ...] = ()

    @property
    def usable(self) -> bool:
        return self.state in USABLE

    @property
    def live(self) -> bool:
        return self.state in LIVE


@dataclass(frozen=True, slots=True)
class App:
    """An application that can be started: the ID of its .desktop file, and its name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Escaped:
    """An application that is pinned to a profile and runs outside of it. `where`: the profile it
    runs in instead, "" for the host's network."""

    app: App
    profile: str
    pid: int
    where: str = ""


Helper = Literal["asking", "here", "away", "missing"]
"""`asking`: it is being started; `away`: it has ended, and is started when it is needed;
`missing`: it is not installed, or cannot be started (`trouble` says why)."""


@dataclass(frozen=True, slots=True)
class State:
    """All of it. `pinned`, by profile: applications that always start there. `recent`: those
    started lately, whatever the profile. `busy`: profiles for which something has been asked that
    is not done. `checking`: those that are being checked for leaks."""

    helper: Helper = "asking"
    trouble: str = ""
    profiles: tuple[Profile, ...] = ()
    pinned: Mapping[str, Sequence[App]] = field(default_factory=dict)
    recent: Sequence[App] = ()
    escaped: tuple[Escaped, ...] = ()
    busy: frozenset[str] = frozenset()
    checking: frozenset[str] = frozenset()
    autostart: bool = False

    def profile(self, name: str) -> Profile | None:
        return next((each for each in self.profiles if each.name == name), None)


def look(state: State) -> Look:
    """What the icon says: the worst that is the case."""
    states = {profile.state for profile in state.profiles}
    if "failed" in states or state.escaped:
        return "failed"
    if "degraded" in states:
        return "degraded"
    return "up" if states & {"up", "starting"} else "down"


def programs(rows: Sequence[Mapping[str, object]], uid: int) -> tuple[Program, ...]:
    """The applications among the processes of a jail (rows as `netjail ps --json` has them): each
    process whose parent is not in the jail, with all its descendants."""
    parents = {int(str(row["pid"])): int(str(row["ppid"])) for row in rows}

    def top(pid: int) -> int:
        seen = {pid}
        while parents[pid] in parents and parents[pid] not in seen:
            pid = parents[pid]
            seen.add(pid)
        return pid

    families: dict[int, list[int]] = {}
    for pid in sorted(parents):
        families.setdefault(top(pid), []).append(pid)
    rows_by_pid = {int(str(row["pid"])): row for row in rows}
    found = []
    for first, pids in families.items():
        row = rows_by_pid[first]
        others = tuple(pid for pid in pids if pid != first)
        mine = row.get("uid") == uid
        found.append(Program(_command(row, mine), (first, *others), mine))
    return tuple(sorted(found, key=lambda each: (not each.mine, each.command, each.pids)))


def _command(row: Mapping[str, object], mine: bool) -> str:
    name = str(row.get("command") or "")
    if not mine:
        return f"{row['user']}'s {name}" if name and row.get("user") else name or "another user's"
    return name or f"process {row['pid']}"
