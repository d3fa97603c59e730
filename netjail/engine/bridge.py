# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's bridge, in the namespace of a switch; ports are plugged in by whoever makes them.

Its namespace has no IPv6, no address and no firewall rule: what crosses the bridge meets nothing.
Multicast is flooded as broadcast is (no snooping, which needs a querier to be right), and there is
no spanning tree: a switch of ours has no loops but those that somebody makes by two uplinks.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from netjail import names
from netjail.engine import netlink as nl
from netjail.engine import ns, sysctl
from netjail.engine.context import Context
from netjail.engine.netlink import NetlinkError, Request, Socket, index_of, set_link
from netjail.errors import NetjailError
from netjail.uplinks.wanted_links import SwitchBridge

# linux/if_link.h, if_bridge.h
_IFLA_ADDRESS, _IFLA_MASTER, _IFLA_AF_SPEC = 1, 10, 26
_IFLA_INFO_SLAVE_KIND, _IFLA_INFO_SLAVE_DATA = 4, 5
_BR_FORWARD_DELAY, _BR_STP, _BR_VLAN_FILTERING, _BR_MCAST_SNOOPING, _BR_VLAN_PVID = 1, 5, 7, 23, 39
_BRPORT_ISOLATED = 33
_BRIDGE_VLAN_INFO = 2
_PVID, _UNTAGGED, _RANGE_BEGIN, _RANGE_END = 0x2, 0x4, 0x8, 0x10
_AF_BRIDGE = socket.AF_BRIDGE if hasattr(socket, "AF_BRIDGE") else 7
_VLANS = (1, 4094)
_NDA_LLADDR, _NDA_VLAN, _NDA_MASTER = 2, 5, 9
_NTF_SELF, _NUD_PERMANENT = 0x02, 0x80


def new_bridge(name: str, vlans: bool) -> Request:
    """A bridge, down."""
    data = nl._nla(_BR_FORWARD_DELAY, 0) + nl._nla(_BR_STP, 0)
    data += nl._nla(_BR_MCAST_SNOOPING, b"\0")
    if vlans:  # and no port is in any VLAN before it is said so
        data += nl._nla(_BR_VLAN_FILTERING, b"\1") + nl._nla(_BR_VLAN_PVID, struct.pack("=H", 0))
    info = nl._nla(nl._IFLA_INFO_KIND, "bridge") + nl._nla(nl._IFLA_INFO_DATA, data)
    body = nl._links(ifname=name, group=names.LINK_GROUP, linkinfo=info)
    return Request(nl.RTM_NEWLINK, nl._CREATE, body)


def new_pair(  # noqa: PLR0917 - as ip-link(8) wants to know
    ours: str, theirs: str, their_ns: int, mtu: int, mac: str | None, master: int | None
) -> Request:
    """A veth pair whose other end, with `mac`, is born in the namespace open as `their_ns`; ours
    as a port of the bridge of index `master`."""
    peer = nl._links(ifname=theirs, mtu=mtu, group=names.LINK_GROUP, net_ns_fd=their_ns)
    if mac is not None:
        peer += nl._nla(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    data = nl._nla(nl._IFLA_INFO_DATA, nl._nla(nl._VETH_INFO_PEER, peer))
    info = nl._nla(nl._IFLA_INFO_KIND, "veth") + data
    body = nl._links(ifname=ours, mtu=mtu, group=names.LINK_GROUP, linkinfo=info)
    if master is not None:
        body += nl._nla(_IFLA_MASTER, master)
    return Request(nl.RTM_NEWLINK, nl._CREATE, body)


def set_mac(index: int, mac: str) -> Request:
    """Give a link a hardware address."""
    body = nl._links(index) + nl._nla(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    return Request(nl.RTM_SETLINK, nl._CHANGE, body)


def set_master(index: int, master: int) -> Request:
    """Make a link a port of a bridge."""
    return Request(nl.RTM_SETLINK, nl._CHANGE, nl._links(index) + nl._nla(_IFLA_MASTER, master))


def isolate(index: int) -> Request:
    """Let a port speak only with ports that are not isolated."""
    data = nl._nla(_BRPORT_ISOLATED, b"\1")
    info = nl._nla(_IFLA_INFO_SLAVE_KIND, "bridge") + nl._nla(_IFLA_INFO_SLAVE_DATA, data)
    return Request(nl.RTM_NEWLINK, nl._CHANGE, nl._links(index, linkinfo=info))


def _vlan(index: int, *infos: tuple[int, int]) -> Request:
    spec = b"".join(nl._nla(_BRIDGE_VLAN_INFO, struct.pack("=HH", *info)) for info in infos)
    head = bytearray(nl._links(index))
    head[0] = _AF_BRIDGE
    return Request(nl.RTM_SETLINK, nl._CHANGE, bytes(head) + nl._nla(_IFLA_AF_SPEC, spec))


def access(index: int, vlan: int) -> Request:
    """A port of one VLAN, untagged."""
    return _vlan(index, (_PVID | _UNTAGGED, vlan))


def trunk(index: int) -> Request:
    """A port of all VLANs, tagged."""
    return _vlan(index, (_RANGE_BEGIN, _VLANS[0]), (_RANGE_END, _VLANS[1]))


# The driver ------------------------------------------------------------------------------------


def apply(wanted: SwitchBridge, context: Context) -> None:
    """Make it, up. Raises NetjailError, NetlinkError."""
    undo(wanted, context)
    with ns.inside_named(wanted.netns), Socket() as netlink:
        without_ipv6()
        try:
            netlink.send(new_bridge(wanted.bridge, wanted.vlans))
        except NetlinkError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            what = "bridges with VLANs" if wanted.vlans else "bridges"
            raise NetjailError(
                "missing-kernel",
                f"this kernel has no {what}, which switch {wanted.switch} wants",
                f'netjail switch edit {wanted.switch}, and have engine = "openvswitch"',
            ) from error
        netlink.send(set_link(index_of(wanted.bridge) or 0, up=True))


def without_ipv6() -> None:
    """What is bridged may be IPv6; the ports themselves have nothing to say."""
    for which in ("all", "default"):
        try:
            fd = sysctl.open_in_jail(f"net/ipv6/conf/{which}/disable_ipv6", os.O_WRONLY)
        except FileNotFoundError:
            return
        try:
            os.write(fd, b"1")
        finally:
            os.close(fd)


def present(wanted: SwitchBridge, _context: Context) -> bool:
    """Whether it stands. Raises nothing."""
    if ns.identity(ns.path_of(wanted.netns)) is None:
        return False
    with ns.inside_named(wanted.netns):
        return index_of(wanted.bridge) is not None


def undo(wanted: SwitchBridge, context: Context) -> None:
    """Delete it; when the whole switch goes its namespace does that. Idempotent."""
    if context.whole or ns.identity(ns.path_of(wanted.netns)) is None:
        return
    with ns.inside_named(wanted.netns), Socket() as netlink:
        remove(netlink, wanted.bridge)


def remove(netlink: Socket, name: str) -> None:
    """Delete an interface that bears our mark. Idempotent."""
    found = netlink.index_and_group(name)
    if found is None or found[1] != names.LINK_GROUP:
        return
    try:
        netlink.send(nl.del_link(found[0]))
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise


def plug(netlink: Socket, bridge: str, index: int, vlan: int | None, isolated: bool) -> None:
    """Make an interface of the thread's namespace a port."""
    master = index_of(bridge)
    assert master is not None
    messages = [set_master(index, master)]
    if isolated:
        messages.append(isolate(index))
    if vlan is not None:
        messages.append(access(index, vlan))
    netlink.send(*messages, set_link(index, up=True))


def plugged(netlink: Socket, bridge: str, port: str) -> bool:
    """Whether an interface of the thread's namespace is a port of the bridge."""
    link = netlink.link(port)
    return link is not None and link.get_attr("IFLA_MASTER") == (index_of(bridge) or -1)


def table(netlink: Socket, called: dict[int, str]) -> list[dict[str, Any]]:
    """The MAC table (`bridge fdb show`), without the ports' own addresses."""
    from pyroute2.netlink.rtnl.ndmsg import ndmsg

    found = []
    for entry in netlink._dump(ndmsg, nl.RTM_GETNEIGH, family=_AF_BRIDGE):
        mac = entry.get_attr("NDA_LLADDR")
        learned = not entry["state"] & _NUD_PERMANENT and not entry["flags"] & _NTF_SELF
        if mac and learned and entry["ifindex"] in called:
            vlan = entry.get_attr("NDA_VLAN")
            found.append({"mac": mac, "port": called[entry["ifindex"]], "vlan": vlan})
    return found
