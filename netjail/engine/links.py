# SPDX-License-Identifier: GPL-3.0-or-later
"""Both sorts of links from the jail's side: cables between two jails, ports of switches.

A cable belongs to two records. Whoever of the two comes second makes it, whoever goes first
removes it: under one lock, an end is made when both jails have their namespace, and each `up` has
made its own before it looks. So nothing has to be told to the other profile, and a helper that
was killed finds by `present` what is to be done.
"""

from __future__ import annotations

import os
import threading

from netjail.engine import bridge, ns, ovs, shaping, sysctl
from netjail.engine.context import Context
from netjail.engine.netlink import (
    NetlinkError,
    Request,
    Socket,
    index_of,
    new_address,
    route,
    set_link,
)
from netjail.engine.record import STOPPING, Record
from netjail.errors import NetjailError
from netjail.uplinks.wanted_links import CrossLink, OvsBridge, SwitchBridge, SwitchPort

_cables = threading.RLock()

_INNER = (
    # Nobody on a link may use the jail as a router; a new namespace has what the host has.
    ("net/ipv4/conf/all/forwarding", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    # Nobody on a link learns the addresses of other interfaces, as a tunnel's.
    ("net/ipv4/conf/all/arp_ignore", "1"),
    ("net/ipv4/conf/all/arp_announce", "2"),
)


def _set_up_inner(wanted: CrossLink | SwitchPort, netlink: Socket) -> None:
    """The jail's end, which stands in the thread's namespace: addresses, up, routes."""
    index = index_of(wanted.jail_if)
    if index is None:
        raise NetjailError("system", f"{wanted.jail_if} vanished while it was set up")
    for key, value in _INNER:
        _write(key, value)
    _write(f"net/ipv4/conf/{wanted.jail_if}/rp_filter", "1" if wanted.strict else "0")
    if any(":" in address for address in wanted.addresses):
        # not so in a switch's namespace, where a DHCP server is
        _write(f"net/ipv6/conf/{wanted.jail_if}/disable_ipv6", "0")
    messages: list[Request] = [set_link(index, up=True)]
    messages += [new_address(index, address) for address in wanted.addresses]
    messages += [
        route("::/0" if ":" in gateway else "0.0.0.0/0", gateway=gateway, oif=index)
        for gateway in wanted.gateways
    ]
    try:
        netlink.send(*messages)
    except NetlinkError as error:
        if any(":" in a for a in wanted.addresses) and not os.path.isdir("/proc/sys/net/ipv6"):
            raise NetjailError(
                "missing-kernel",
                f"IPv6 is switched off in this kernel, and {wanted.profile} has IPv6 addresses",
                "remove them from the profile, or switch IPv6 on",
            ) from error
        raise


def _write(key: str, value: str) -> None:
    try:
        fd = sysctl.open_in_jail(key, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _remove_inner(netns: str, name: str) -> None:
    try:
        with ns.inside_named(netns), Socket() as netlink:
            bridge.remove(netlink, name)
    except NetjailError:  # the namespace is gone, and the interface with it
        pass


def _stands(netns: str, name: str) -> bool:
    try:
        with ns.inside_named(netns):
            return index_of(name) is not None
    except NetjailError:
        return False


# Cables ----------------------------------------------------------------------------------------


def _other(wanted: CrossLink, context: Context) -> CrossLink | None:
    """The other end, when its jail has come so far that it has a namespace."""
    record = context.records.get(wanted.peer)
    if record is None or record.state == STOPPING or record.namespace is None:
        return None
    end = end_of(record, wanted)
    if end is None or ns.identity(ns.path_of(end.netns)) != record.namespace:
        return None
    return end


def end_of(record: Record, wanted: CrossLink) -> CrossLink | None:
    """The end of the same cable in the other profile's record."""
    for each in record.resources:
        if (
            isinstance(each, CrossLink)
            and each.peer == wanted.profile
            and each.number == wanted.number
        ):
            return each
    return None


def apply_cable(wanted: CrossLink, context: Context) -> None:
    """Make the cable if the other jail is there; else it will be made when that comes."""
    with _cables:
        _remove_inner(wanted.netns, wanted.jail_if)  # of an earlier end, or a half
        other = _other(wanted, context)
        if other is None:
            return
        _remove_inner(other.netns, other.jail_if)
        theirs = ns.open_named(other.netns)
        try:
            with ns.inside_named(wanted.netns), Socket() as netlink:
                mtu = min(wanted.mtu, other.mtu)
                netlink.send(
                    bridge.new_pair(wanted.jail_if, other.jail_if, theirs, mtu, other.mac, None)
                )
                netlink.send(bridge.set_mac(index_of(wanted.jail_if) or 0, wanted.mac))
                _set_up_inner(wanted, netlink)
                _shape(wanted, other)
            with ns.inside(theirs), Socket() as netlink:
                _set_up_inner(other, netlink)
                _shape(other, wanted)
        finally:
            os.close(theirs)


def _shape(end: CrossLink, other: CrossLink) -> None:
    """In the end's namespace. One of the two files may say it for both."""
    what = f"the link between {end.profile} and {other.profile}"
    shaping.apply(end.shape or other.shape, end.jail_if, what)


def cable_present(wanted: CrossLink, context: Context) -> bool:
    """Whether it is there if it is to be."""
    other = _other(wanted, context)
    ours = _stands(wanted.netns, wanted.jail_if)
    return not ours if other is None else ours and _stands(other.netns, other.jail_if)


def undo_cable(wanted: CrossLink, _context: Context) -> None:
    """Remove it, also for the jail at its other end. Idempotent."""
    with _cables:
        _remove_inner(wanted.netns, wanted.jail_if)


# Ports of switches -----------------------------------------------------------------------------


def apply_port(wanted: SwitchPort, context: Context) -> None:
    """Plug the jail in; the switch is made first where it is not up."""
    fabric = context.switches.ensure(wanted.switch, context.progress)
    undo_port(wanted, context)
    _remove_inner(wanted.netns, wanted.jail_if)  # of a switch that is just going
    plug_in(fabric, wanted)


def plug_in(fabric: SwitchBridge | OvsBridge, wanted: SwitchPort) -> None:
    """Make both ends of a port of a switch that stands."""
    target = ns.open_named(wanted.netns)
    try:
        with ns.inside_named(fabric.netns), Socket() as netlink:
            make_port(fabric, wanted, target, netlink)
            shaping.apply(wanted.shape, wanted.port, f"{wanted.profile}'s {wanted.jail_if}")
        with ns.inside(target), Socket() as netlink:
            if isinstance(fabric, OvsBridge) and fabric.datapath == "netdev":
                ovs.without_checksums(wanted.jail_if)
            _set_up_inner(wanted, netlink)
            shaping.apply(wanted.shape, wanted.jail_if, f"{wanted.profile}'s {wanted.jail_if}")
    finally:
        os.close(target)


def make_port(
    fabric: SwitchBridge | OvsBridge, wanted: SwitchPort, target: int, netlink: Socket
) -> None:
    """The pair, its outer end in the thread's namespace plugged in."""
    userspace = isinstance(fabric, OvsBridge)
    master = None if userspace else index_of(fabric.bridge)
    netlink.send(
        bridge.new_pair(wanted.port, wanted.jail_if, target, wanted.mtu, wanted.mac, master)
    )
    index = index_of(wanted.port) or 0
    if isinstance(fabric, OvsBridge):
        if fabric.netns is None:
            quiet_on_host(wanted.port)
        netlink.send(set_link(index, up=True))
        ovs.plug(fabric, wanted.port, wanted.vlan, wanted.isolated)
    else:
        bridge.plug(netlink, fabric.bridge, index, wanted.vlan, wanted.isolated)


def quiet_on_host(interface: str) -> None:
    """A port of the system's Open vSwitch stands among the host's interfaces: no address there."""
    try:
        fd = sysctl.open_on_host(f"net/ipv6/conf/{interface}/disable_ipv6", os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        os.write(fd, b"1")
    finally:
        os.close(fd)


def port_present(wanted: SwitchPort, context: Context) -> bool:
    """Whether both ends stand, and the outer one is plugged in."""
    fabric = context.switches.fabric(wanted.switch)
    if fabric is None or not _stands(wanted.netns, wanted.jail_if):
        return False
    if isinstance(fabric, OvsBridge):
        if fabric.netns is not None:  # nobody but us works there
            return _stands(fabric.netns, wanted.port)
        try:
            return index_of(wanted.port) is not None and wanted.port in ovs.ports(fabric)
        except NetjailError:
            return False
    try:
        with ns.inside_named(fabric.netns), Socket() as netlink:
            return bridge.plugged(netlink, fabric.bridge, wanted.port)
    except NetjailError:
        return False


def undo_port(wanted: SwitchPort, context: Context) -> None:
    """Unplug the jail. Idempotent. The end in the jail is removed with the other one, or with its
    namespace; of the whole jail it is only shut, since deleting waits for RCU."""
    fabric = context.switches.fabric(wanted.switch)
    if fabric is None:
        _remove_inner(wanted.netns, wanted.jail_if)
        return
    if isinstance(fabric, OvsBridge):
        ovs.unplug(fabric, wanted.port)
    try:
        with ns.inside_named(fabric.netns), Socket() as netlink:
            if context.whole and fabric.netns is not None:
                found = netlink.index_and_group(wanted.port)
                if found is not None:
                    netlink.send(set_link(found[0], up=False))
            else:
                bridge.remove(netlink, wanted.port)
    except NetlinkError as error:
        if error.errno != 19:  # ENODEV
            raise
    except NetjailError:  # the switch's namespace is gone
        pass
