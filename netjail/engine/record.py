# SPDX-License-Identifier: GPL-3.0-or-later
"""What was wanted and what we own, one JSON file per live jail. The kernel stays the truth.

Written before the first change, so that a helper that is killed anywhere can undo or finish.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from netjail import names
from netjail.engine import files, namekey
from netjail.engine.process import Process
from netjail.uplinks import naming
from netjail.uplinks.naming import client_user
from netjail.uplinks.wanted import (
    Netns,
    Resource,
    VethPair,
    VpnClient,
    WireGuardDevice,
    from_json,
    to_json,
)
from netjail.uplinks.wanted_lan import AdoptedNetns, BridgePort

STARTING, UP, STOPPING = "starting", "up", "stopping"


@dataclass(frozen=True, slots=True)
class Record:
    """`namespace`: device and inode of the network namespace, None until it is made.

    `since`: seconds since the epoch; `resources` in the order in which they are made; `digest`
    tells whether the profile has changed since. `filtered`: programs see the session bus through a
    filter.
    """

    profile: str
    state: str
    stop: str
    kind: str
    through: str | None
    resources: tuple[Resource, ...]
    namespace: tuple[int, int] | None = None
    processes: tuple[Process, ...] = ()
    since: float = field(default_factory=time.time)
    digest: str = ""
    filtered: bool = False

    def with_process(self, process: Process) -> Record:
        """With `process` in place of an older one of its name."""
        others = tuple(p for p in self.processes if p.name != process.name)
        return replace(self, processes=(*others, process))

    def without_process(self, name: str) -> Record:
        """Without the process of that name."""
        return replace(self, processes=tuple(p for p in self.processes if p.name != name))

    def process(self, name: str) -> Process | None:
        """The recorded process of that name."""
        return next((p for p in self.processes if p.name == name), None)

    @property
    def netns(self) -> str:
        """The ip-netns(8) name of the jail's namespace, which may be somebody else's."""
        found: Netns | AdoptedNetns = self.find(Netns) or self.find(AdoptedNetns)
        return found.name

    def find(self, kind: type) -> Any:
        """The first resource of a class, or None."""
        return next((r for r in self.resources if isinstance(r, kind)), None)


def claims(resources: Iterable[Resource]) -> list[str]:
    """What resources take of which the host has only one: names of interfaces, also those that
    they have for a moment alone, and the users that clients run as."""
    found = []
    for each in resources:
        if isinstance(each, VethPair | BridgePort):
            found.append(f"the interface name {each.host_if}")
        elif isinstance(each, WireGuardDevice | VpnClient):
            found.append(f"the interface name {each.born_as}")
        if isinstance(each, VpnClient):
            found.append(f"the user number {client_user(each.profile)}")
    return found


class Records:
    """All records of a helper, on disk and in memory. There is one helper, so memory is right."""

    def __init__(self, directory: str = names.JAILS_DIR, jails: bool = True) -> None:
        """`jails`: whether they are those of profiles; a switch may have the name of one."""
        self.directory = directory
        self._jails = jails
        self._held: dict[str, Record] = {}
        self._claimed: dict[str, str] = {}
        """What there can be only one of (see `claims`), and whose it is."""

    def adopt(self) -> list[str]:
        """`read`, for a helper that begins: new names are derived with the machine's key."""
        namekey.use()
        return self.read()

    def read(self) -> list[str]:
        """Read what a helper before us has left; names of those that are not readable."""
        unreadable = []
        for name in _directories(self.directory):
            found = _load(self.directory, name, self._jails)
            if found is None:
                unreadable.append(name)
            else:
                self._hold(found)
        return unreadable

    def get(self, profile: str) -> Record | None:
        """The record of a live jail, or None."""
        return self._held.get(profile)

    def all(self) -> list[Record]:
        """All records, oldest first."""
        return list(self._held.values())

    def names(self) -> list[str]:
        """The names of all live jails."""
        return list(self._held)

    def holder(self, what: str) -> str | None:
        """The profile that has something of which there can be only one (see `claims`)."""
        return self._claimed.get(what)

    def claim(self, profile: str, what: str) -> str:
        """Whose it is from now on, until `forget`: the profile's, unless another was first."""
        return self._claimed.setdefault(what, profile)

    def save(self, record: Record) -> None:
        """Write it. Raises NetjailError; memory and disk then hold what they held before."""
        data = {
            "version": 1,
            "profile": record.profile,
            "state": record.state,
            "stop": record.stop,
            "kind": record.kind,
            "through": record.through,
            "namespace": record.namespace,
            "since": record.since,
            "digest": record.digest,
            "filtered": record.filtered,
            "keyed": naming.keyed(record.profile),
            "processes": [[p.name, p.pid, p.started] for p in record.processes],
            "resources": [to_json(r) for r in record.resources],
        }
        directory = f"{self.directory}/{record.profile}"
        if record.profile not in self._held or not os.path.isdir(directory):
            files.directory(names.RUN_DIR)
            files.directory(self.directory, 0o700)
            files.directory(directory, 0o700)
        files.write(f"{directory}/record.json", json.dumps(data), 0o600)
        self._hold(record)

    def _hold(self, record: Record) -> None:
        self._held[record.profile] = record
        for what in claims(record.resources):
            self._claimed.setdefault(what, record.profile)

    def forget(self, profile: str) -> None:
        """Remove the jail's directory and the record with it. Idempotent."""
        files.remove_tree(f"{self.directory}/{profile}")
        self._held.pop(profile, None)
        if self._jails:
            naming.forget(profile)
        for what, holder in list(self._claimed.items()):
            if holder == profile:
                del self._claimed[what]


def _load(directory: str, profile: str, jail: bool) -> Record | None:
    """None where there is none or where it is not readable as one."""
    try:
        with open(f"{directory}/{profile}/record.json", encoding="utf-8") as file:
            data = json.load(file)
        if jail:
            naming.keep(profile, bool(data.get("keyed")))
        return Record(
            profile=profile,
            state=str(data["state"]),
            stop=str(data["stop"]),
            kind=str(data["kind"]),
            through=data["through"],
            resources=tuple(from_json(item) for item in data["resources"]),
            namespace=None if data["namespace"] is None else tuple(data["namespace"]),
            processes=tuple(Process(*item) for item in data["processes"]),
            since=float(data["since"]),
            digest=str(data["digest"]),
            filtered=bool(data.get("filtered")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _directories(parent: str) -> list[str]:
    try:
        entries = os.listdir(parent)
    except OSError:
        return []
    return sorted(entry for entry in entries if names.valid_name(entry))
