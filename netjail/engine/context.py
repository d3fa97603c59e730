# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drivers work with: the record being written, the host's side, and who listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from netjail.engine.hostnet import HostNet
from netjail.engine.process import Process
from netjail.engine.record import Record, Records
from netjail.engine.tunnels import Tunnels

if TYPE_CHECKING:
    from netjail.engine.switches import Switches


@dataclass(slots=True)
class Context:
    """Of one operation on one profile or switch. `record` is replaced as the operation goes on.

    `whole`: the jail goes as a whole, so that what lies in its namespace ends with it.
    `again`: what is removed is made again at once.
    """

    record: Record
    records: Records
    host: HostNet
    progress: Callable[[str], None]
    switches: Switches
    whole: bool = False
    again: bool = False
    tunnels: Tunnels = field(default_factory=Tunnels)

    def remember(self, process: Process) -> None:
        """Note a process of ours on disk."""
        self.record = self.record.with_process(process)
        self.records.save(self.record)

    def forget(self, name: str) -> None:
        """The process of that name is gone."""
        self.record = self.record.without_process(name)

    def own_namespace(self, identity: tuple[int, int] | None) -> None:
        """Note on disk which namespace is ours."""
        self.record = replace(self.record, namespace=identity)
        self.records.save(self.record)

    def log(self, name: str) -> str:
        """Where a process of ours may write what it has to say."""
        return f"{self.records.directory}/{self.record.profile}/{name}.log"
