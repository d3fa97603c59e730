# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches that are up: made when the first port is plugged in, gone with the last.

A switch has a record as a jail has, with its resources in order, and the same drivers. Who uses it
is not counted: a switch is in use as long as the record of any jail holds a port of it, and that
record is written before the port is made. So nothing can be counted wrong by a helper that dies.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import Any

from netjail import names
from netjail.engine import dhcpserver, drivers, hostfacts, ns, ovs, plan, process, served
from netjail.engine.context import Context
from netjail.engine.hostnet import HostNet
from netjail.engine.lanfacts import LanFacts
from netjail.engine.netlink import Socket, index_of, is_foreign
from netjail.engine.outcome import as_netjail_error, digest_of
from netjail.engine.process import Process
from netjail.engine.record import STARTING, STOPPING, UP, Record, Records
from netjail.errors import NetjailError
from netjail.profile import switches as store
from netjail.profile.links import overlap
from netjail.profile.switch import Switch
from netjail.uplinks import dhcp_server, naming
from netjail.uplinks.links import MTU
from netjail.uplinks.wanted import Netns, Resource
from netjail.uplinks.wanted_lan import HostDevice
from netjail.uplinks.wanted_links import (
    OvsBridge,
    SwitchBridge,
    SwitchHostPort,
    SwitchPort,
    SwitchUplink,
)

Fabric = SwitchBridge | OvsBridge
Progress = Callable[[str], None]
_MAIN, _LIKE_A_DEFAULT_ROUTE = 254, 3


class Switches:
    def __init__(self, jails: Records, host: HostNet) -> None:
        self._jails = jails
        self._host = host
        self._records = Records(names.SWITCHES_DIR, jails=False)
        self._lock = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}
        self.changed: Callable[[str, int, Resource | None], None] = lambda *_: None
        """For tests: told (phase, step number, resource) after each step."""

    def _turn(self, name: str) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(name, threading.RLock())

    # What there is ------------------------------------------------------------------------------

    def read(self) -> None:
        """Know what a helper before us has left; before the jails are looked at."""
        for name in self._records.read():
            self._records.forget(name)

    def write_again(self) -> None:
        """Somebody has deleted our directory."""
        for found in self._records.all():
            self._records.save(found)

    def names(self) -> list[str]:
        """Of those that are up, or on their way up or down."""
        return self._records.names()

    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._records.names())

    def get(self, name: str) -> Record | None:
        """The record of a switch."""
        return self._records.get(name)

    def fabric(self, name: str) -> Fabric | None:
        """What does the switching, as long as it is up or going."""
        found = self._records.get(name)
        return None if found is None else fabric_of(found.resources)

    def on_host(self, switch: Switch) -> bool:
        """Whether its ports are, or would be, in the host's namespace."""
        found = self.fabric(switch.name)
        if found is not None:
            return found.netns is None
        return switch.engine == "openvswitch" and ovs.system_runs()

    def processes(self, resources: Sequence[Resource]) -> list[Process]:
        """Those that serve the switches that a jail has ports of."""
        found: list[Process] = []
        for name in switches_of(resources):
            record = self._records.get(name)
            found += record.processes if record is not None else ()
        return found

    def users(self, name: str) -> list[SwitchPort]:
        """All ports, by the records of the jails."""
        return [
            resource
            for record in self._jails.all()
            for resource in record.resources
            if isinstance(resource, SwitchPort) and resource.switch == name
        ]

    # Up -----------------------------------------------------------------------------------------

    def ensure(self, name: str, progress: Progress) -> Fabric:
        """Bring a switch up, or to what its file says by now. Raises NetjailError."""
        with self._turn(name):
            found = self._records.get(name)
            if found is not None and (found.state != UP or self._homeless(found)):
                for error in self._undo_all(found, progress):
                    raise error
                found = None
            switch = store.load(name)
            if found is None:
                found = self._bring_up(switch, progress)
            elif self._changed(found, switch) or self._missing(found):
                found = self._mend(found, switch, progress)
            fabric = fabric_of(found.resources)
            assert fabric is not None
            return fabric

    def repair(self, resources: Sequence[Resource], progress: Progress) -> bool:
        """See that the switches of a jail that is up are whole, and as their files say by now;
        whether one was not."""
        changed = False
        for name in switches_of(resources):
            with self._turn(name):
                found = self._records.get(name)
                if found is None or found.state != UP:
                    continue
                if self._homeless(found):
                    self.ensure(name, progress)
                    changed = True
                    continue
                if self._missing(found):
                    self._apply(found, found.resources, progress)
                    changed = True
                try:
                    switch = store.load(name)
                except NetjailError:
                    continue  # its file is gone or broken; the switch is not
                if self._changed(found, switch):
                    self._mend(self._records.get(name) or found, switch, progress)
                    changed = True
        return changed

    def _changed(self, found: Record, switch: Switch) -> bool:
        """Whether a switch that is up is to be another; also by who serves DHCP on it."""
        if found.digest != digest_of(switch):
            return True
        return self._describe(switch, found) != found.resources

    def check(self, name: str) -> list[plan.Step]:
        """What `ensure` would do. Raises NetjailError as it would."""
        switch = store.load(name)
        found = self._records.get(name)
        if found is None or found.state != UP:
            wanted = self._describe(switch, None)
            self._check(wanted)
            return plan.difference((), wanted, ())
        wanted = self._describe(switch, found)
        return plan.difference(found.resources, wanted, self._missing(found))

    def _describe(self, switch: Switch, found: Record | None) -> tuple[Resource, ...]:
        fabric = _fabric(switch, None if found is None else fabric_of(found.resources))
        wanted: list[Resource] = [fabric]
        if fabric.netns is not None:
            wanted.insert(0, Netns(fabric.netns))
        if switch.host:
            wanted.append(
                SwitchHostPort(
                    switch=switch.name,
                    netns=fabric.netns,
                    host_if=naming.switch_host_interface(switch.name),
                    port="host.port" if fabric.netns else naming.port(switch.name, "host", True),
                    mtu=switch.mtu or MTU,
                    addresses=tuple(map(str, switch.host_addresses)),
                    vlan=switch.vlan,
                )
            )
        if switch.uplink is not None:
            wanted += self._uplink(switch, switch.uplink, fabric, found)
        server = None if served.by_profile(switch) else self._dhcp(switch, fabric)
        if server is not None:
            if fabric.netns is None:  # the server has a namespace of its own nevertheless
                wanted.insert(0, Netns(names.switch_netns(switch.name)))
            wanted += server
        return tuple(wanted)

    @staticmethod
    def _dhcp(switch: Switch, fabric: Fabric) -> tuple[Resource, ...] | None:
        return dhcp_server.of_switch(
            switch, hostfacts.machine_id(), fabric.netns is None, served.known
        )

    def leases(self, name: str) -> list[dict[str, Any]]:
        """What its DHCP server has given, wherever that runs."""
        return dhcpserver.leases(name, self._records, self._jails)

    def _uplink(
        self, switch: Switch, interface: str, fabric: Fabric, found: Record | None
    ) -> list[Resource]:
        """The interface, moved to where the switch is, and plugged in."""
        plug = SwitchUplink(switch.name, fabric.netns, interface, switch.vlan is not None)
        if found is not None and plug in found.resources and fabric.netns is None:
            return [plug]
        facts = LanFacts(self._jails, found).device(interface)
        if facts.only_way_out and not switch.cut_off_host:
            raise NetjailError(
                "conflict",
                f"{interface} is the host's only way out: with it in switch {switch.name} the "
                "host itself has no network",
                "connect the host in another way first, or say cut_off_host = true "
                f"(netjail switch edit {switch.name})",
            )
        if facts.phy is not None:
            raise NetjailError(
                "conflict",
                f"{interface} is a Wi-Fi interface, and those cannot be ports of a switch",
                'a profile with kind = "ipvlan" joins its network',
            )
        if fabric.netns is None:
            return [plug]
        device = HostDevice(
            profile=f"sw.{switch.name}",
            netns=fabric.netns,
            device=interface,
            index=facts.index,
            phy=None,
            mtu=facts.mtu,
            host_mtu=facts.mtu,
            up=facts.up,
            addresses=facts.addresses,
            routes=facts.routes,
        )
        return [device, plug]

    def _check(self, wanted: Sequence[Resource]) -> None:
        for resource in wanted:
            match resource:
                case Netns():
                    if ns.identity(ns.path_of(resource.name)) is not None:
                        raise NetjailError(
                            "conflict",
                            f"a network namespace {resource.name} exists that netjail did not make",
                            f"delete it (`sudo ip netns del {resource.name}`)",
                        )
                case OvsBridge():
                    for program in ("ovs-vsctl", ovs.DATABASE, ovs.SWITCHING):
                        process.program(program)
                case SwitchHostPort():
                    _check_host_port(resource)

    def _bring_up(self, switch: Switch, progress: Progress) -> Record:
        wanted = self._describe(switch, None)
        self._check(wanted)
        record = Record(
            profile=switch.name,
            state=STARTING,
            stop="never",
            kind=switch.engine,
            through=None,
            resources=wanted,
        )
        context = self._context(record, progress)
        done: list[Resource] = []
        try:
            self._records.save(record)
            self.changed("switch record", 0, None)
            for number, resource in enumerate(wanted, 1):
                done.append(resource)
                drivers.of(resource).apply(resource, context)
                self.changed("switch up", number, resource)
            context.record = replace(context.record, state=UP, digest=digest_of(switch))
            self._records.save(context.record)
        except BaseException:
            context.whole = True
            if not self._undo(done, context):
                self._records.forget(switch.name)
            raise
        return context.record

    def _mend(self, found: Record, switch: Switch, progress: Progress) -> Record:
        wanted = self._describe(switch, found)
        before, after = fabric_of(found.resources), fabric_of(wanted)
        if before != after:
            users = list(dict.fromkeys(port.profile for port in self.users(switch.name)))
            raise NetjailError(
                "in-use",
                f"switch {switch.name} is up otherwise than its file now says (engine, VLANs): "
                "that cannot change while profiles are on it",
                f"netjail down {' '.join(users[:5])}",
            )
        for port in wanted:
            if isinstance(port, SwitchHostPort) and port not in found.resources:
                _check_host_port(port)
        self._apply(found, wanted, progress)
        mended = replace(self._records.get(switch.name) or found, digest=digest_of(switch))
        self._records.save(mended)
        return mended

    def _apply(self, found: Record, wanted: Sequence[Resource], progress: Progress) -> None:
        steps = plan.difference(found.resources, wanted, self._missing(found))
        steps = [  # what serves a bridge is started again under it; its ports are there still
            step
            for step in steps
            if not (step.verb == "remove" and isinstance(step.resource, OvsBridge))
        ]
        both = (*wanted, *(r for r in found.resources if r not in wanted))
        context = self._context(replace(found, resources=both), progress)
        self._records.save(context.record)
        for step in steps:
            driver = drivers.of(step.resource)
            (driver.undo if step.verb == "remove" else driver.apply)(step.resource, context)
        context.record = replace(context.record, resources=tuple(wanted))
        self._records.save(context.record)

    def _homeless(self, found: Record) -> bool:
        """Whether somebody deleted the name of its namespace: what is in there is out of reach."""
        gone = self._missing(found)
        return any(isinstance(resource, Netns) for resource in gone)

    def _missing(self, found: Record) -> list[Resource]:
        context = self._context(found, _silent)
        return [r for r in found.resources if not drivers.of(r).present(r, context)]

    def _context(self, record: Record, progress: Progress) -> Context:
        return Context(
            record=record,
            records=self._records,
            host=self._host,
            progress=progress,
            switches=self,
        )

    # Down ---------------------------------------------------------------------------------------

    def sweep(self) -> list[NetjailError]:
        """Take down whatever switch no jail has a port of."""
        errors: list[NetjailError] = []
        for name in self._records.names():
            with self._turn(name):
                found = self._records.get(name)
                if found is not None and not self.users(name):
                    errors += self._undo_all(found, _silent)
        return errors

    def _undo_all(self, found: Record, progress: Progress) -> list[NetjailError]:
        context = self._context(replace(found, state=STOPPING), progress)
        context.whole = True
        try:
            self._records.save(context.record)
        except NetjailError:  # a full disk must not keep it alive
            pass
        self.changed("switch stopping", 0, None)
        errors = self._undo(found.resources, context)
        if not errors:
            self._records.forget(found.profile)
        return errors

    def _undo(self, resources: Sequence[Resource], context: Context) -> list[NetjailError]:
        errors = []
        for number, resource in enumerate(reversed(resources), 1):
            try:
                drivers.of(resource).undo(resource, context)
                self.changed("switch down", number, resource)
            except Exception as error:  # whatever it is, the rest must go
                errors.append(as_netjail_error(error))
        return errors


def _silent(_text: str) -> None:
    pass


def fabric_of(resources: Sequence[Resource]) -> Fabric | None:
    """What does the switching."""
    return next((r for r in resources if isinstance(r, SwitchBridge | OvsBridge)), None)


def switches_of(resources: Sequence[Resource]) -> list[str]:
    """The switches that a jail has ports of."""
    return list(dict.fromkeys(r.switch for r in resources if isinstance(r, SwitchPort)))


def _fabric(switch: Switch, before: Fabric | None) -> Fabric:
    netns = names.switch_netns(switch.name)
    if switch.engine == "bridge":
        return SwitchBridge(
            switch.name, netns, naming.switch_bridge(switch.name), switch.vlan is not None
        )
    if isinstance(before, OvsBridge):  # whoever runs it by now, it is where it is
        return before
    if ovs.system_runs():
        return OvsBridge(switch.name, None, naming.system_bridge(switch.name), ovs.datapath())
    return OvsBridge(switch.name, netns, naming.switch_bridge(switch.name), ovs.datapath())


def _check_host_port(wanted: SwitchHostPort) -> None:
    """The host's port must not take the place of anything that the host has."""
    if is_foreign(wanted.host_if):
        raise NetjailError(
            "conflict",
            f"an interface {wanted.host_if} exists that netjail did not make",
            f"rename or delete it (`sudo ip link delete {wanted.host_if}`)",
        )
    if not wanted.addresses:
        return
    with Socket() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            for found in netlink.unicast_routes(family, lambda _raw: True):
                table = found.get_attr("RTA_TABLE") or found["table"]
                destination = found.get_attr("RTA_DST")
                if table != _MAIN or not destination or found["dst_len"] <= _LIKE_A_DEFAULT_ROUTE:
                    continue
                network = ip_network(f"{destination}/{found['dst_len']}")
                for address in wanted.addresses:
                    if overlap(ip_interface(address).network, network) and not _own(found, wanted):
                        raise NetjailError(
                            "conflict",
                            f"switch {wanted.switch}: the host's address {address} overlaps "
                            f"{network}, to which the host has a route already",
                            f"netjail switch edit {wanted.switch}, and take another network",
                        )


def _own(found: Any, wanted: SwitchHostPort) -> bool:
    return bool(found.get_attr("RTA_OIF") == index_of(wanted.host_if))
