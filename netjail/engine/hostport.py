# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads from a switch to the host: a port of the host's own, a veth pair; and an interface of
the host that is plugged in (moved there by `device`)."""

from __future__ import annotations

import os

from netjail.engine import bridge, links, ns, ovs, sysctl
from netjail.engine.context import Context
from netjail.engine.netlink import NetlinkError, Socket, index_of, new_address, set_link
from netjail.errors import NetjailError
from netjail.uplinks.wanted_links import OvsBridge, SwitchHostPort, SwitchUplink

_QUIET = (
    ("net/ipv6/conf/{}/accept_ra", "0"),  # nobody on a switch may add routes to the host
    ("net/ipv6/conf/{}/accept_redirects", "0"),
    ("net/ipv4/conf/{}/accept_redirects", "0"),
    ("net/ipv4/conf/{}/arp_ignore", "1"),  # the host's other addresses are nobody's business
    ("net/ipv4/conf/{}/forwarding", "0"),  # the host is on the switch, not a router behind it
)


def apply(wanted: SwitchHostPort, context: Context) -> None:
    """Make it. Raises NetjailError, NetlinkError."""
    undo(wanted, context)
    fabric = context.switches.fabric(wanted.switch)
    if fabric is None:
        raise NetjailError("internal", f"switch {wanted.switch} has nothing to plug the host into")
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with ns.inside_named(wanted.netns), Socket() as netlink:
            userspace = isinstance(fabric, OvsBridge)
            master = None if userspace else index_of(fabric.bridge)
            netlink.send(
                bridge.new_pair(wanted.port, wanted.host_if, here, wanted.mtu, None, master)
            )
            index = index_of(wanted.port) or 0
            if isinstance(fabric, OvsBridge):
                if wanted.netns is None:
                    links.quiet_on_host(wanted.port)
                netlink.send(set_link(index, up=True))
                ovs.plug(fabric, wanted.port, wanted.vlan, False)
            else:
                bridge.plug(netlink, fabric.bridge, index, wanted.vlan, False)
    finally:
        os.close(here)
    if isinstance(fabric, OvsBridge) and fabric.datapath == "netdev":
        ovs.without_checksums(wanted.host_if)
    for key, value in _QUIET:
        _write(key.format(wanted.host_if), value)
    with Socket() as netlink:
        index = index_of(wanted.host_if) or 0
        netlink.send(set_link(index, up=True), *(new_address(index, a) for a in wanted.addresses))


def _write(key: str, value: str) -> None:
    try:
        fd = sysctl.open_on_host(key, os.O_WRONLY)
    except FileNotFoundError:  # no IPv6 in this kernel
        return
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def present(wanted: SwitchHostPort, _context: Context) -> bool:
    """Whether the host's end stands; the other one goes with it."""
    return index_of(wanted.host_if) is not None


def undo(wanted: SwitchHostPort, context: Context) -> None:
    """Remove it. Idempotent."""
    fabric = context.switches.fabric(wanted.switch)
    if isinstance(fabric, OvsBridge) and not (context.whole and fabric.netns is not None):
        ovs.unplug(fabric, wanted.port)
    try:
        with Socket() as netlink:
            bridge.remove(netlink, wanted.host_if)
    except NetlinkError as error:
        raise NetjailError("system", f"cannot remove {wanted.host_if}: {error.strerror}") from error


def apply_uplink(wanted: SwitchUplink, context: Context) -> None:
    """Plug it in. Raises NetjailError, NetlinkError."""
    fabric = context.switches.fabric(wanted.switch)
    with ns.inside_named(wanted.netns), Socket() as netlink:
        index = index_of(wanted.interface)
        if fabric is None or index is None:
            raise NetjailError("system", f"{wanted.interface} has vanished while it was plugged in")
        if isinstance(fabric, OvsBridge):
            netlink.send(set_link(index, up=True))
            ovs.plug(fabric, wanted.interface, None, False)
            return
        bridge.plug(netlink, fabric.bridge, index, None, False)
        if wanted.vlans:
            netlink.send(bridge.trunk(index))


def uplink_present(wanted: SwitchUplink, context: Context) -> bool:
    """Whether it is plugged in."""
    fabric = context.switches.fabric(wanted.switch)
    if fabric is None:
        return False
    try:
        with ns.inside_named(wanted.netns), Socket() as netlink:
            if isinstance(fabric, OvsBridge):
                return index_of(wanted.interface) is not None
            return bridge.plugged(netlink, fabric.bridge, wanted.interface)
    except NetjailError:
        return False


def undo_uplink(wanted: SwitchUplink, context: Context) -> None:
    """Pull the plug. Idempotent."""
    fabric = context.switches.fabric(wanted.switch)
    if isinstance(fabric, OvsBridge):
        ovs.unplug(fabric, wanted.interface)
        return
    try:
        with ns.inside_named(wanted.netns), Socket() as netlink:
            index = index_of(wanted.interface)
            if index is not None:
                netlink.send(bridge.set_master(index, 0))
    except NetjailError:  # the namespace is gone
        pass
