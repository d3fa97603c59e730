# SPDX-License-Identifier: GPL-3.0-or-later
"""An interface of the host that is lent to a jail.

It bears our mark (the interface group) from before it is moved until it has back what it had on
the host, so that whatever happens in between a later helper knows that there is something to do.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from netjail import names
from netjail.engine import ns, process
from netjail.engine.netlink import (
    NetlinkError,
    Request,
    Socket,
    index_of,
    new_address,
    route,
    set_link,
)
from netjail.errors import NetjailError
from netjail.uplinks.naming import host_interface
from netjail.uplinks.wanted_lan import HostDevice

if TYPE_CHECKING:  # it imports the facts, which import this
    from netjail.engine.context import Context

_HERE = "/proc/thread-self/ns/net"


def apply(wanted: HostDevice, _context: Context) -> None:
    """Move it in, unless it is there. Raises NetjailError, NetlinkError."""
    if not _is_inside(wanted):
        _move_in(wanted)
    with ns.inside_named(wanted.netns), Socket() as netlink:
        index = index_of(wanted.device)
        if index is None:
            raise NetjailError("system", f"{wanted.device} has vanished while it was moved")
        netlink.send(set_link(index, mtu=wanted.mtu))


def _move_in(wanted: HostDevice) -> None:
    target = ns.open_named(wanted.netns)
    try:
        with Socket() as netlink:
            if index_of(wanted.device) != wanted.index:
                raise NetjailError("conflict", f"the host has no interface {wanted.device} now")
            netlink.send(set_link(wanted.index, group=names.LINK_GROUP))
            if wanted.phy is not None:
                process.run(["iw", "phy", wanted.phy, "set", "netns", "name", wanted.netns])
            else:
                netlink.send(set_link(wanted.index, net_ns_fd=target))
    except NetlinkError as error:
        if error.errno != errno.EINVAL:
            raise
        raise NetjailError(
            "conflict",
            f"{wanted.device} cannot be moved: the kernel keeps interfaces of its kind in the "
            "host's network",
            'use kind = "macvlan" or kind = "bridge" with it instead',
        ) from error
    finally:
        os.close(target)


def present(wanted: HostDevice, _context: Context) -> bool:
    """Whether it is in the jail."""
    return _is_inside(wanted)


def _is_inside(wanted: HostDevice) -> bool:
    try:
        with ns.inside_named(wanted.netns), Socket() as netlink:
            found = netlink.index_and_group(wanted.device)
            return found is not None and found[1] == names.LINK_GROUP
    except NetjailError:
        return False


def undo(wanted: HostDevice, context: Context) -> None:
    """Give it back, as it was. Idempotent."""
    try:
        _move_out(wanted, context)
    except NetjailError:  # the namespace is gone: the kernel has given a real device back
        pass
    with Socket() as netlink:
        for name in (wanted.device, host_interface(wanted.profile)):
            found = netlink.index_and_group(name)
            if found is not None and found[1] == names.LINK_GROUP:
                _restore(netlink, found[0], wanted)
                return


def _move_out(wanted: HostDevice, context: Context) -> None:
    home = os.open(_HERE, os.O_RDONLY | os.O_CLOEXEC)
    taken = index_of(wanted.device) is not None
    try:
        with ns.inside_named(wanted.netns), Socket() as netlink:
            found = netlink.index_and_group(wanted.device)
            if found is None or found[1] != names.LINK_GROUP:
                return
            netlink.send(set_link(found[0], up=False))
            other = host_interface(wanted.profile)
            if taken:
                context.progress(
                    f"the host has another {wanted.device} by now: giving it back as {other}"
                )
                netlink.send(set_link(found[0], ifname=other))
            if wanted.phy is not None:
                # by a process that is there: this thread's own number would do, but iw wants a pid
                name = other if taken else wanted.device
                process.run(["iw", _radio(name), "set", "netns", str(os.getpid())])
            else:
                netlink.send(set_link(found[0], net_ns_fd=home))
    finally:
        os.close(home)


def _radio(device: str) -> str:
    """The radio of an interface of the thread's namespace by its number, as iw(8) takes it: by its
    name iw would look in /sys, which shows the host's radios alone."""
    words = process.run(["iw", "dev", device, "info"]).split()
    return f"phy#{words[words.index('wiphy') + 1]}"


def _restore(netlink: Socket, index: int, wanted: HostDevice) -> None:
    requests: list[Request] = [set_link(index, mtu=wanted.host_mtu)]
    if wanted.up:
        requests.append(set_link(index, up=True))
        requests += [new_address(index, address, detect=True) for address in wanted.addresses]
        requests += [
            route(network, gateway=gateway or None, oif=index, metric=metric or None, proto=proto)
            for network, gateway, metric, proto in wanted.routes
        ]
    for request in requests:
        try:
            netlink.send(request)
        except NetlinkError as error:
            # what the host's own network manager has set meanwhile stays, and what leads nowhere
            # any more is not worth an error
            if error.errno not in (errno.EEXIST, errno.ENETUNREACH, errno.EHOSTUNREACH):
                raise
    netlink.send(set_link(index, group=0))


def lasting_addresses(netlink: Socket, index: int) -> tuple[str, ...]:
    """Addresses that were given for good and are not the kernel's own link-local ones."""
    found = []
    for message in netlink.addresses():
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if message["index"] == index and flags & 0x80 and message["scope"] < 253:
            found.append(f"{address}/{message['prefixlen']}")
    return tuple(found)


def lasting_routes(netlink: Socket, index: int) -> tuple[tuple[str, str, int, int], ...]:
    """(network, gateway or "", metric, protocol) of routes that a person or a program made."""
    found = []
    for family, default in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
        for message in netlink.routes(family):
            table = message.get_attr("RTA_TABLE") or message["table"]
            if (
                message.get_attr("RTA_OIF") != index
                or table != 254
                or message["type"] != 1
                or message["proto"] in (2, 9)  # kernel, ra
            ):
                continue
            network = f"{message.get_attr('RTA_DST') or default}/{message['dst_len']}"
            metric = int(message.get_attr("RTA_PRIORITY") or 0)
            gateway = str(message.get_attr("RTA_GATEWAY") or "")
            found.append((network, gateway, metric, int(message["proto"])))
    # those to a network first, as they lead to the routers of the others
    return tuple(sorted(found, key=lambda each: bool(each[1])))


def only_way_out(netlink: Socket, index: int) -> bool:
    """Whether all default routes of the host lead by this interface."""
    ways: set[int] = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in netlink.routes(family):
            if message["dst_len"] or message["type"] != 1:
                continue
            several = message.get_attr("RTA_MULTIPATH") or ()
            ways.update(int(way["oif"]) for way in several)
            if message.get_attr("RTA_OIF"):
                ways.add(int(message.get_attr("RTA_OIF")))
    return ways == {index}
