# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces in a network of others: macvlan, ipvlan, ports of a bridge, and how they behave."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from netjail import names
from netjail.engine import ns, sysctl, veth
from netjail.engine.context import Context
from netjail.engine.netlink import (
    Message,
    NetlinkError,
    Request,
    Socket,
    del_address,
    del_link,
    index_of,
    new_address,
    new_child,
    new_veth,
    route,
    set_link,
)
from netjail.errors import NetjailError
from netjail.uplinks.wanted_lan import BridgePort, ChildLink, Station

_IPV4 = (
    ("arp_ignore", "2"),  # answer for an address only to those of its own network
    ("arp_announce", "2"),
    ("arp_notify", "1"),  # neighbours that knew another owner of the address learn of it
    ("promote_secondaries", "1"),  # a lease may change its address within one network
    ("accept_redirects", "0"),
    ("accept_source_route", "0"),
)
_NO_RA = (("accept_ra", "0"), ("autoconf", "0"))
_RA = (
    ("accept_ra", "1"),
    ("accept_ra_rt_info_max_plen", "0"),  # a default route, no others
    ("autoconf", "1"),
    ("use_tempaddr", "2"),  # RFC 8981: addresses that change, and are preferred
    ("addr_gen_mode", "3"),  # no hardware address in any of them
)


# Macvlan and ipvlan ----------------------------------------------------------------------------


def apply_child(wanted: ChildLink, context: Context) -> None:
    """Make the interface. Raises NetjailError."""
    undo_child(wanted, context)
    target = ns.open_named(wanted.netns)
    try:
        with Socket() as netlink:
            parent = index_of(wanted.parent)
            if parent is None:
                raise NetjailError("conflict", f"the host has no interface {wanted.parent}")
            netlink.send(
                new_child(
                    wanted.kind,
                    wanted.jail_if,
                    target,
                    parent=parent,
                    mode=wanted.mode,
                    mtu=wanted.mtu,
                    group=names.LINK_GROUP,
                    mac=wanted.mac,
                )
            )
    except NetlinkError as error:
        raise _child_error(wanted, error) from error
    finally:
        os.close(target)


def _child_error(wanted: ChildLink, error: NetlinkError) -> NetjailError:
    if error.errno == errno.EOPNOTSUPP:
        return NetjailError(
            "missing-kernel",
            f"this kernel has no {wanted.kind}",
            f'load its module (sudo modprobe {wanted.kind}), or use kind = "bridge" or "veth"',
        )
    if error.errno in (errno.EBUSY, errno.EINVAL):
        return NetjailError(
            "conflict",
            f"{wanted.parent} cannot carry a {wanted.kind} in {wanted.mode} mode: it is a port of "
            "a bridge or bond, or carries one of another kind or mode already",
            f"`ip -d link show {wanted.parent}` tells",
        )
    return NetjailError("system", f"the kernel refused the {wanted.kind}: {error.strerror}")


def child_present(wanted: ChildLink, _context: Context) -> bool:
    """Whether it is in the jail. The kernel removes it with its parent."""
    return inside(wanted.netns, wanted.jail_if) is not None


def undo_child(wanted: ChildLink, context: Context) -> None:
    """Remove it; as the whole jail goes the kernel does, and it is shut at least. Idempotent."""
    _on_ours(wanted.netns, wanted.jail_if, _shut if context.whole else del_link)


# A port of a bridge ----------------------------------------------------------------------------


def apply_port(wanted: BridgePort, _context: Context) -> None:
    """Make the pair and join the bridge. Raises NetjailError, NetlinkError."""
    veth.remove(wanted.host_if)
    target = ns.open_named(wanted.netns)
    try:
        with Socket() as netlink:
            bridge = index_of(wanted.bridge)
            if bridge is None:
                raise NetjailError("conflict", f"the host has no bridge {wanted.bridge}")
            netlink.send(
                new_veth(
                    wanted.host_if,
                    wanted.jail_if,
                    target,
                    wanted.mtu,
                    names.LINK_GROUP,
                    mac=wanted.mac,
                )
            )
            # the host itself has no business at this end
            _write(sysctl.open_on_host, f"net/ipv6/conf/{wanted.host_if}/disable_ipv6", "1")
            index = index_of(wanted.host_if) or 0
            netlink.send(set_link(index, master=bridge), set_link(index, up=True))
    finally:
        os.close(target)


def port_present(wanted: BridgePort, _context: Context) -> bool:
    """Whether both ends stand and the host's is a port of that bridge."""
    if inside(wanted.netns, wanted.jail_if) is None:
        return False
    with Socket() as netlink:
        link = netlink.link(wanted.host_if)
        bridge = index_of(wanted.bridge)
        return link is not None and bridge is not None and link.get_attr("IFLA_MASTER") == bridge


def undo_port(wanted: BridgePort, context: Context) -> None:
    """Remove the pair. Idempotent."""
    veth.discard(wanted.host_if, context.whole)


# What they have in common ----------------------------------------------------------------------


def apply_station(wanted: Station, _context: Context) -> None:
    """Up, with addresses and routers. Raises NetjailError, NetlinkError."""
    with ns.inside_named(wanted.netns), Socket() as netlink:
        index = index_of(wanted.jail_if)
        if index is None:
            raise NetjailError("system", f"there is no interface {wanted.jail_if} in the jail")
        for key, value in _IPV4:
            _write(sysctl.open_in_jail, f"net/ipv4/conf/{wanted.jail_if}/{key}", value)
        for key, value in _RA if wanted.accept_ra else _NO_RA:
            _write(sysctl.open_in_jail, f"net/ipv6/conf/{wanted.jail_if}/{key}", value)
        netlink.send(
            set_link(index, up=True),
            *(new_address(index, address, detect=True) for address in wanted.addresses),
            *(
                route("::/0", gateway=gateway, oif=index, onlink=True)
                if ":" in gateway
                else route("0.0.0.0/0", gateway=gateway, oif=index, onlink=True)
                for gateway in wanted.gateways
            ),
        )
        if not wanted.arp and not wanted.gateways:
            netlink.send(*_without_router(index, wanted.addresses))


def _without_router(index: int, addresses: tuple[str, ...]) -> list[Request]:
    """Routes to everywhere where there are no neighbours: the parent's routes decide."""
    families = {":" in address for address in addresses}
    return [route("::/0" if six else "0.0.0.0/0", oif=index) for six in sorted(families)]


def station_present(wanted: Station, _context: Context) -> bool:
    """Whether the interface is there and up."""
    link = inside(wanted.netns, wanted.jail_if)
    return link is not None and bool(link["flags"] & 1)


def undo_station(wanted: Station, context: Context) -> None:
    """Take the addresses away, and the routes with them. Idempotent."""
    if context.whole:
        return
    try:
        with ns.inside_named(wanted.netns), Socket() as netlink:
            index = index_of(wanted.jail_if)
            if index is None:
                return
            for request in (
                *(
                    route("::/0" if ":" in g else "0.0.0.0/0", gateway=g, oif=index, delete=True)
                    for g in wanted.gateways
                ),
                *(del_address(index, address) for address in wanted.addresses),
            ):
                try:
                    netlink.send(request)
                except NetlinkError as error:
                    if error.errno not in (errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV):
                        raise
    except NetjailError:  # the namespace is gone
        return


def inside(netns: str, interface: str) -> Message | None:
    """The link of that name in a jail, or None."""
    try:
        with ns.inside_named(netns), Socket() as netlink:
            return netlink.link(interface)
    except NetjailError:
        return None


def _shut(index: int) -> Request:
    return set_link(index, up=False)


def _on_ours(netns: str, name: str, message: Callable[[int], Request]) -> None:
    """Send a message about an interface that bears our mark."""
    try:
        with ns.inside_named(netns), Socket() as netlink:
            found = netlink.index_and_group(name)
            if found is not None and found[1] == names.LINK_GROUP:
                netlink.send(message(found[0]))
    except NetjailError:  # the namespace is gone, and the interface with it
        return
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise


def _write(open_: Callable[[str, int], int], key: str, value: str) -> None:
    try:
        fd = open_(key, os.O_WRONLY)
    except FileNotFoundError:  # a kernel without it, or without IPv6
        return
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
