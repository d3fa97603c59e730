# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a status that uplinks in a network of others have (see `status`)."""

from __future__ import annotations

import time
from typing import Any

from netjail.engine import dhcp
from netjail.engine.record import Record
from netjail.uplinks.wanted_lan import BridgePort, ChildLink, DhcpClient, HostDevice, Station


def interfaces(record: Record) -> set[str]:
    """The interfaces inside that are the way out."""
    return {r.jail_if for r in record.resources if isinstance(r, Station)}


def uplink(record: Record, result: dict[str, Any]) -> None:
    """Where the way out begins on the host, and its router."""
    gateways: list[str] = []
    for resource in record.resources:
        match resource:
            case HostDevice():
                result.update(implementation="kernel", way_out=resource.device)
            case ChildLink():
                result.update(implementation="kernel", way_out=resource.parent)
            case BridgePort():
                result.update(
                    implementation="kernel",
                    way_out=resource.bridge,
                    host_interface=resource.host_if,
                )
            case Station():
                gateways += resource.gateways
            case DhcpClient() if resource.uplink:
                lease = dhcp.lease(resource.profile, resource.jail_if)
                gateways += resource.gateways
                if lease is not None and lease.router is not None and not resource.gateways:
                    gateways.append(lease.router)
    if gateways:
        result["gateways"] = gateways


def leases(record: Record) -> list[dict[str, Any]]:
    """One for each DHCP client. `expires`: seconds since the epoch, None: never or no lease."""
    found = []
    for resource in record.resources:
        if not isinstance(resource, DhcpClient):
            continue
        state = dhcp.state(resource.profile, resource.jail_if)
        lease = dhcp.lease(resource.profile, resource.jail_if)
        lasts = None if lease is None else lease.left(time.time())
        found.append(
            {
                "interface": resource.jail_if,
                "address": None if lease is None else lease.address,
                "server": None if lease is None else lease.server,
                "expires": None if lasts is None else int(time.time()) + lasts,
                "left_out": [] if lease is None else list(lease.left_out),
                "refused": state.refused,
            }
        )
    return found
