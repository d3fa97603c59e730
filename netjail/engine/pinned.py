# SPDX-License-Identifier: GPL-3.0-or-later
"""A pinned way out: a routing table with the routes of one interface of the host and no others,
and an `ip rule` that sends there whatever comes from the jail."""

from __future__ import annotations

import errno
import socket
from typing import Any

from netjail.engine.netlink import NetlinkError, Socket, index_of, route, rule
from netjail.errors import NetjailError
from netjail.uplinks.wanted import PinnedRoutes

TABLE_BASE = 0x6E6A0000
"""Tables from here to 0x6E6AFFFF are ours."""
_PRIORITY = 5000
"""Of our `ip rule`s: before wg-quick's (32764) and the main table's (32766)."""
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_RT_TABLE_LOCAL = 255
_UNICAST, _UNREACHABLE = 1, 7
_LAST = 0xFFFFFFF
"""Metric of what is taken when nothing else is left."""
_IFF_POINTOPOINT, _IFF_NOARP = 0x10, 0x80


def is_ours(table: int) -> bool:
    """Whether a routing table is one of a pinned jail."""
    return table & 0xFFFF0000 == TABLE_BASE


def apply(pinned: PinnedRoutes) -> None:
    """Make table and rule say what the host's routes by that interface say now.

    Raises NetjailError("conflict") where it leads nowhere; nothing goes out elsewhere then.
    """
    with Socket() as netlink:
        table = _table(pinned.host_if)
        if table is None:
            return
        out = netlink.link(pinned.way_out)
        useful = False
        for family in _FAMILIES if pinned.ipv6 else _FAMILIES[:1]:
            useful = _fill(netlink, family, table, out) or useful
            try:
                netlink.send(rule(pinned.host_if, table, _PRIORITY, family))
            except NetlinkError as error:
                if error.errno != errno.EEXIST:
                    raise
            _forget(netlink, family, _tables(netlink, family, pinned.host_if) - {table}, pinned)
    if useful:
        return
    if out is None:
        raise NetjailError(
            "conflict",
            f"the interface {pinned.way_out}, to which this profile is pinned, is gone",
            "`ip link` lists the interfaces; is it unplugged or renamed?",
        )
    raise NetjailError(
        "conflict",
        f"the interface {pinned.way_out}, to which this profile is pinned, has no default route: "
        "it leads nowhere",
        f"connect it first; `ip route show dev {pinned.way_out}` shows its routes",
    )


def present(pinned: PinnedRoutes) -> bool:
    """Whether the rules stand."""
    table = _table(pinned.host_if)
    with Socket() as netlink:
        return all(
            table in _tables(netlink, family, pinned.host_if)
            for family in (_FAMILIES if pinned.ipv6 else _FAMILIES[:1])
        )


def remove(pinned: PinnedRoutes) -> None:
    """Remove rules and tables, also when the pair is gone already. Idempotent."""
    table = _table(pinned.host_if)
    with Socket() as netlink:
        for family in _FAMILIES:
            tables = _tables(netlink, family, pinned.host_if)
            _forget(netlink, family, tables | ({table} if table is not None else set()), pinned)


def _table(host_if: str) -> int | None:
    """A routing table number that is free as long as the interface lives."""
    index = index_of(host_if)
    return None if index is None else TABLE_BASE + (index & 0xFFFF)


def _tables(netlink: Socket, family: int, host_if: str) -> set[int]:
    """The tables of ours to which rules send what comes in by an interface."""
    return {
        int(found.get_attr("FRA_TABLE") or 0)
        for found in netlink.rules(family)
        if found.get_attr("FRA_IIFNAME") == host_if and is_ours(found.get_attr("FRA_TABLE") or 0)
    }


def _forget(netlink: Socket, family: int, tables: set[int], pinned: PinnedRoutes) -> None:
    for table in tables:
        try:
            netlink.send(rule(pinned.host_if, table, _PRIORITY, family, delete=True))
        except NetlinkError as error:
            if error.errno not in (errno.ENOENT, errno.EAFNOSUPPORT):
                raise
        _replace(netlink, family, table, {})


def _fill(netlink: Socket, family: int, table: int, out: Any | None) -> bool:
    """Copy the routes by `out` into the table; whether a default route is among them."""
    everywhere = "::/0" if family == socket.AF_INET6 else "0.0.0.0/0"
    wanted: dict[tuple[str, str | None, int | None, int], Any] = {}
    key = (everywhere, None, None, _UNREACHABLE)
    wanted[key] = route(everywhere, table=table, kind=_UNREACHABLE, metric=_LAST)
    useful = False
    if out is not None:
        index = int(out["index"])
        copies = _routes_by(netlink, family, index)
        useful = any(not int(dst.partition("/")[2]) for dst, _ in copies)
        if not copies and out["flags"] & (_IFF_POINTOPOINT | _IFF_NOARP):
            copies, useful = [(everywhere, None)], True
        for dst, gateway in copies:
            made = route(dst, oif=index, gateway=gateway, table=table)
            wanted[dst, gateway, index, _UNICAST] = made
    _replace(netlink, family, table, wanted)
    return useful


def _routes_by(netlink: Socket, family: int, index: int) -> list[tuple[str, str | None]]:
    """(destination, gateway) of the host's routes by one interface, connected ones first."""
    copies: dict[str, str | None] = {}
    for found in netlink.routes(family):
        table = found.get_attr("RTA_TABLE") or found["table"]
        by_it = found.get_attr("RTA_OIF") == index and found["type"] == _UNICAST
        if by_it and table != _RT_TABLE_LOCAL and not is_ours(table):
            copies.setdefault(_destination(found), found.get_attr("RTA_GATEWAY"))
    return sorted(copies.items(), key=lambda item: item[1] is not None)


def _destination(found: Any) -> str:
    any_ = "::" if found["family"] == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 a route, no bind
    return f"{found.get_attr('RTA_DST') or any_}/{found['dst_len']}"


def _replace(
    netlink: Socket,
    family: int,
    table: int,
    wanted: dict[tuple[str, str | None, int | None, int], Any],
) -> None:
    """Make a table of ours hold exactly these routes; new ones first, so that none is missed."""
    stale = {}
    for found in netlink.routes(family):
        if (found.get_attr("RTA_TABLE") or found["table"]) == table:
            # an unreachable route of IPv6 is shown with loopback as its interface
            oif = found.get_attr("RTA_OIF") if found["type"] == _UNICAST else None
            key = (_destination(found), found.get_attr("RTA_GATEWAY"), oif, found["type"])
            stale[key] = found.get_attr("RTA_PRIORITY")
    netlink.send(*wanted.values())
    for (dst, gateway, oif, kind), metric in stale.items():
        if (dst, gateway, oif, kind) in wanted:
            continue
        gone = route(
            dst, gateway=gateway, oif=oif, kind=kind, metric=metric, table=table, delete=True
        )
        try:
            netlink.send(gone)
        except NetlinkError as error:
            if error.errno not in (errno.ESRCH, errno.ENODEV):  # the kernel was faster
                raise
