# SPDX-License-Identifier: GPL-3.0-or-later
"""One driver per kind of resource: find it, make it, remove it. The only table of its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netjail.engine import (
    borrowed,
    bridge,
    clients,
    device,
    dhcp,
    dhcpserver,
    hostport,
    inplace,
    lan,
    links,
    ns,
    ovs,
    pinned,
    portset,
    veth,
    view,
    wg,
)
from netjail.engine.context import Context
from netjail.errors import NetjailError
from netjail.uplinks.wanted import (
    DnsRelay,
    Files,
    Masquerade,
    Netns,
    PinnedRoutes,
    Resource,
    VethPair,
    VpnClient,
    WireGuardDevice,
)
from netjail.uplinks.wanted_dhcp import DhcpPort, DhcpServer
from netjail.uplinks.wanted_lan import (
    AdoptedNetns,
    BridgePort,
    ChildLink,
    DhcpClient,
    HostDevice,
    Station,
)
from netjail.uplinks.wanted_links import (
    CrossLink,
    OvsBridge,
    SwitchBridge,
    SwitchHostPort,
    SwitchPort,
    SwitchUplink,
)
from netjail.uplinks.wanted_ports import BorrowedPort, PortSet


@dataclass(frozen=True, slots=True)
class Driver:
    """`present`: does it stand, as recorded; `apply` makes it whole from any remains; `undo` is
    idempotent and removes only what is ours; `update`, where there is one, changes what stands."""

    present: Callable[[Any, Context], bool]
    apply: Callable[[Any, Context], None]
    undo: Callable[[Any, Context], None]
    update: Callable[[Any, Context], None] | None = None

    def does(self, verb: str) -> Callable[[Any, Context], None]:
        """What a step of `plan` does."""
        if verb == "remove":
            return self.undo
        return (self.update or self.apply) if verb == "update" else self.apply


def _netns_present(wanted: Netns | AdoptedNetns, context: Context) -> bool:
    found = ns.identity(ns.path_of(wanted.name))
    if found is None or found != context.record.namespace:
        return False
    return isinstance(wanted, AdoptedNetns) or ns.marked(wanted.name)


def _remove_netns(wanted: Netns, context: Context) -> None:
    found, ours = ns.identity(ns.path_of(wanted.name)), context.record.namespace
    if found is None or found != ours or ns.marked(wanted.name):  # else somebody took the name
        ns.remove(wanted.name, ours)


def _make_netns(wanted: Netns, context: Context) -> None:
    try:
        ns.create(wanted.name, context.own_namespace)
    except FileExistsError:
        context.own_namespace(None)  # somebody took the name this moment: it is theirs
        raise NetjailError(
            "conflict", f"a network namespace {wanted.name} exists that netjail did not make"
        ) from None


def _adopt_netns(wanted: AdoptedNetns, context: Context) -> None:
    found = ns.identity(ns.path_of(wanted.name))
    if found is None:
        raise NetjailError("conflict", f"the network namespace {wanted.name} is gone")
    context.own_namespace(found)


def _files_undo(wanted: Files, _context: Context) -> None:
    view.remove(wanted)


def _join(wanted: Masquerade, context: Context) -> None:
    context.host.join(wanted)


_DRIVERS: dict[type, Driver] = {
    Netns: Driver(
        present=_netns_present,
        apply=_make_netns,
        undo=_remove_netns,
    ),
    Files: Driver(
        present=lambda wanted, _: view.present(wanted),
        apply=lambda wanted, _: view.make(wanted),
        undo=_files_undo,
    ),
    VethPair: Driver(veth.present, veth.apply, veth.undo),
    Masquerade: Driver(
        present=lambda wanted, context: context.host.present(wanted),
        apply=_join,
        undo=lambda wanted, context: context.host.leave(wanted.host_if),
    ),
    PinnedRoutes: Driver(
        present=lambda wanted, _: pinned.present(wanted),
        apply=lambda wanted, context: context.host.pin(wanted),
        undo=lambda wanted, context: context.host.unpin(wanted),
    ),
    DnsRelay: Driver(veth.relay_present, veth.apply_relay, veth.undo_relay),
    WireGuardDevice: Driver(wg.present, wg.apply, wg.undo, inplace.update),
    CrossLink: Driver(links.cable_present, links.apply_cable, links.undo_cable),
    SwitchPort: Driver(links.port_present, links.apply_port, links.undo_port),
    SwitchBridge: Driver(bridge.present, bridge.apply, bridge.undo),
    OvsBridge: Driver(ovs.present, ovs.apply, ovs.undo),
    DhcpPort: Driver(dhcpserver.port_present, dhcpserver.apply_port, dhcpserver.undo_port),
    DhcpServer: Driver(dhcpserver.present, dhcpserver.apply, dhcpserver.undo),
    SwitchHostPort: Driver(hostport.present, hostport.apply, hostport.undo),
    SwitchUplink: Driver(hostport.uplink_present, hostport.apply_uplink, hostport.undo_uplink),
    AdoptedNetns: Driver(_netns_present, _adopt_netns, undo=lambda _wanted, _context: None),
    HostDevice: Driver(device.present, device.apply, device.undo),
    ChildLink: Driver(lan.child_present, lan.apply_child, lan.undo_child),
    BridgePort: Driver(lan.port_present, lan.apply_port, lan.undo_port),
    Station: Driver(lan.station_present, lan.apply_station, lan.undo_station),
    DhcpClient: Driver(dhcp.present, dhcp.apply, dhcp.undo),
    PortSet: Driver(portset.present, portset.apply, portset.undo),
    BorrowedPort: Driver(borrowed.present, borrowed.apply, borrowed.undo),
    VpnClient: Driver(clients.present, clients.apply, clients.undo),
}


def of(resource: Resource) -> Driver:
    """The driver of a resource."""
    return _DRIVERS[type(resource)]
