# SPDX-License-Identifier: GPL-3.0-or-later
"""What the helper knows of every profile that is or was up: state, since when, and why.

Used from all threads. An Entry is a value: it never changes under whoever holds it.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

from netjail.daemon.rooms import Process
from netjail.profile.model import Profile

State = Literal["down", "starting", "up", "degraded", "stopping", "failed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """`since`: unix seconds of the change to `state`, None where it never was anything else.

    `profile`: what it was brought up as, None after adoption by a new helper.
    `tunnel`: None as long as it is not known whether it has one.
    `ups`: how often it has become usable so far.
    """

    name: str
    state: State = "down"
    reason: str | None = None
    since: int | None = None
    through: str | None = None
    stop: str = "never"
    processes: tuple[Process, ...] = ()
    profile: Profile | None = None
    tunnel: bool | None = None
    ups: int = 0

    @property
    def live(self) -> bool:
        """Whether a jail exists, may exist, or is about to."""
        return self.state != "down"

    @property
    def usable(self) -> bool:
        return self.state in ("up", "degraded")


class Registry:
    def __init__(self, changed: Callable[[Entry], None]) -> None:
        """`changed` is called, on whichever thread it was, for each new state or reason."""
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._changed = changed

    def get(self, name: str) -> Entry:
        with self._lock:
            return self._entries.get(name) or Entry(name)

    def all(self) -> list[Entry]:
        with self._lock:
            return list(self._entries.values())

    def live(self) -> list[Entry]:
        return [entry for entry in self.all() if entry.live]

    def dependents(self, name: str) -> list[str]:
        """The live profiles that go through `name`."""
        return sorted(entry.name for entry in self.live() if entry.through == name)

    def move(
        self,
        name: str,
        state: State,
        reason: str | None = None,
        *,
        only_from: tuple[State, ...] | None = None,
    ) -> bool:
        """Change the state; with `only_from`, and return False, unless it is one of those."""
        with self._lock:
            old = self._entries.get(name) or Entry(name)
            if only_from is not None and old.state not in only_from:
                return False
            since = old.since if old.state == state else int(time.time())
            new = dataclasses.replace(old, state=state, reason=reason, since=since)
            if state == "down":
                new = Entry(name, reason=reason, since=since, ups=old.ups)
            elif new.usable and not old.usable:
                new = dataclasses.replace(new, ups=old.ups + 1)
            self._entries[name] = new
        if (old.state, old.reason) != (new.state, new.reason):
            self._changed(new)
        return True

    def note(
        self,
        name: str,
        *,
        since: int | None = None,
        through: str | None = None,
        stop: str | None = None,
        processes: tuple[Process, ...] | None = None,
        profile: Profile | None = None,
        tunnel: bool | None = None,
    ) -> None:
        """Remember facts of a live profile; what is None stays as it was."""
        facts = {
            "since": since,
            "through": through,
            "stop": stop,
            "processes": processes,
            "profile": profile,
            "tunnel": tunnel,
        }
        known = {key: value for key, value in facts.items() if value is not None}
        with self._lock:
            old = self._entries.get(name)
            if old is not None and old.live:
                self._entries[name] = dataclasses.replace(old, **known)  # type: ignore[arg-type]

    def forget(self, name: str) -> None:
        with self._lock:
            entry = self._entries.get(name)
            if entry is not None and not entry.live:
                del self._entries[name]


def tied(registry: Registry, profiles: Sequence[str]) -> list[list[str]]:
    """The profiles in groups, within which some go through others."""
    groups: dict[str, list[str]] = {name: [name] for name in profiles}
    for name in profiles:
        through = registry.get(name).through
        if through in groups and groups[through] is not groups[name]:
            merged = groups[through] + groups[name]
            for member in merged:
                groups[member] = merged
    return list({id(group): group for group in groups.values()}.values())
