# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of jails that are up: what they are, and changes of them. A part of the engine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from netjail import names
from netjail.engine import borrowed, portfile, portset, record
from netjail.engine.borrowed import Lent
from netjail.engine.context import Context
from netjail.engine.process import Process
from netjail.engine.record import Record, Records
from netjail.errors import NetjailError
from netjail.profile import ports
from netjail.profile.model import Port
from netjail.uplinks.wanted_ports import BorrowedPort, PortSet

_LEND_SECONDS = 2.0
"""That a server which answers takes at most, by which the first programs wait for its port."""


def _log_of(name: str) -> str:
    return f"{names.jail_dir(name)}/{borrowed.NAME}.log"


@dataclass(frozen=True, slots=True)
class LivePort:
    """`connections`: open now, `served`: ever; None where its forwarder does not answer. `added`:
    since the jail is up, so that its file does not have it."""

    port: Port
    connections: int | None
    served: int | None
    added: bool


class PortAnswers:
    """What `answers.Answers` is besides."""

    _records: Records
    _lent: dict[str, Lent]
    """What was said last of the provider's ports, by profile."""

    @abstractmethod
    def _context(self, found: Record, progress: Callable[[str], None]) -> Context:
        """For the drivers of a jail's resources."""

    @abstractmethod
    def _processes(self, found: Record) -> list[Process]:
        """All that serves a jail."""

    def ports(self, name: str) -> list[LivePort] | None:
        """The ports of a jail; None: it is not up."""
        found = self._records.get(name)
        if found is None or found.state != record.UP:
            return None
        wanted: PortSet | None = found.find(PortSet)
        if wanted is None:
            return []
        counts = portset.counts(name)
        added = {ports.key(port) for port in portfile.read(name)[0]}
        rows = []
        for port in (Port(*fields) for fields in wanted.ports):
            now, ever = counts.get(ports.key(port), (None, None))
            rows.append(LivePort(port, now, ever, ports.key(port) in added))
        return rows

    def lent(self, name: str) -> Lent | None:
        """What the provider lends; None: the jail does not ask, or there is none."""
        return borrowed.read(name) if self._borrows(name) else None

    def lent_anew(self, name: str) -> str | None:
        """Make known to programs what the provider lends. A sentence where it has changed since
        the last time."""
        if not self._borrows(name):
            self._lent.pop(name, None)
            return None
        now = borrowed.publish(name, _log_of(name))
        before = self._lent.get(name, borrowed.NOTHING)
        self._lent[name] = now
        return borrowed.sentence(before, now)

    def _wait_lent(self, name: str, seconds: float, progress: Callable[[str], None]) -> None:
        """For those who start a program as soon as the jail is up."""
        if self._borrows(name) and borrowed.publish(name, _log_of(name)).port is None:
            progress("waiting for the provider's port")
            borrowed.wait(name, _log_of(name), min(seconds, _LEND_SECONDS))

    def _borrows(self, name: str) -> bool:
        found = self._records.get(name)
        return found is not None and found.state == record.UP and bool(found.find(BorrowedPort))

    def change_ports(
        self, name: str, add: Collection[Port] = (), remove: Collection[Port] = ()
    ) -> list[Process]:
        """Change the ports of a jail that is up; its file stays as it is. The processes that
        serve it now. Raises NetjailError; then nothing has changed."""
        found = self._records.get(name)
        if found is None or found.state != record.UP:
            raise NetjailError("not-up", f"profile {name} is not up", f"netjail up {name}")
        old: PortSet | None = found.find(PortSet)
        standing = [Port(*fields) for fields in old.ports] if old is not None else []
        doomed = {ports.key(port) for port in remove}
        kept = [port for port in standing if ports.key(port) not in doomed]
        new = PortSet(name, found.netns, (*kept, *add))
        if len(new.ports) > ports.MOST:
            raise NetjailError(
                "conflict",
                f"profile {name} has {len(standing)} ports, and {ports.MOST} is the most",
                f"netjail port remove {name} LISTEN",
            )
        context = self._context(found, lambda _text: None)
        portset.check(name, [new], self._records)
        others = tuple(r for r in found.resources if not isinstance(r, PortSet))
        if new.ports:
            portset.apply(new, context)
            resources = (*others, new)
        else:
            portset.undo(new, context)
            resources = others
        self._note(name, add, remove)
        self._records.save(replace(context.record, resources=resources))
        return self._processes(context.record)

    def _note(self, name: str, add: Collection[Port], remove: Collection[Port]) -> None:
        """For whoever describes the profile anew: what differs from its file."""
        added, removed = portfile.read(name)
        changed = {ports.key(port) for port in (*add, *remove)}
        keep = [port for port in added if ports.key(port) not in changed]
        gone = [port for port in removed if ports.key(port) not in changed]
        portfile.write(name, (*keep, *add), (*gone, *remove))
