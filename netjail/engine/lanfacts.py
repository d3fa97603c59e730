# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host is like to uplinks in a network of others. A part of `hostfacts`."""

from __future__ import annotations

import os

from netjail import names
from netjail.engine import device, dhcp, hostdns, ns
from netjail.engine.netlink import Message, Socket, index_of
from netjail.engine.record import Record, Records
from netjail.errors import NetjailError
from netjail.uplinks.facts import HostDeviceFacts, HostDns, ParentFacts
from netjail.uplinks.wanted_lan import DhcpClient, HostDevice

_SYS = "/sys/class/net"
_IFF_UP = 1


class LanFacts:
    """The half of `netjail.uplinks.facts.Facts` that concerns them."""

    def __init__(self, records: Records | None, standing: Record | None) -> None:
        """`standing`: the record of the profile in question, when its jail is up."""
        self._records = records
        self._standing = standing

    def device(self, interface: str) -> HostDeviceFacts:
        """As it was before it was moved, where this very jail has it already."""
        held = None if self._standing is None else self._standing.find(HostDevice)
        if isinstance(held, HostDevice) and held.device == interface and _has(held):
            return HostDeviceFacts(
                held.index, held.phy, held.host_mtu, held.up, held.addresses, held.routes, False
            )
        with Socket() as netlink:
            link = self._link(netlink, interface)
            _must_be_free(link, interface)
            index = int(link["index"])
            return HostDeviceFacts(
                index=index,
                phy=_phy(interface),
                mtu=int(link.get_attr("IFLA_MTU")),
                up=bool(link["flags"] & _IFF_UP),
                addresses=device.lasting_addresses(netlink, index),
                routes=device.lasting_routes(netlink, index),
                only_way_out=device.only_way_out(netlink, index),
            )

    def parent(self, interface: str) -> ParentFacts:
        """An interface that is up."""
        with Socket() as netlink:
            link = self._link(netlink, interface)
            _must_be_up(link, interface)
            return ParentFacts(int(link.get_attr("IFLA_MTU")), _phy(interface) is not None)

    def bridge(self, interface: str) -> int:
        """The MTU of a bridge that is up."""
        with Socket() as netlink:
            link = self._link(netlink, interface)
            info = link.get_attr("IFLA_LINKINFO")
            if info is None or info.get_attr("IFLA_INFO_KIND") != "bridge":
                raise NetjailError(
                    "conflict",
                    f"{interface} is not a bridge",
                    f'`ip -d link show {interface}` tells what it is; kind = "macvlan" joins the '
                    "network of an ordinary interface",
                )
            _must_be_up(link, interface)
            return int(link.get_attr("IFLA_MTU"))

    def _link(self, netlink: Socket, interface: str) -> Message:
        link = netlink.link(interface)
        if link is None:
            raise NetjailError(
                "conflict",
                f"the host has no network interface {interface}{self._holder(interface)}",
                "`ip link` lists the interfaces; is it unplugged or renamed?",
            )
        return link

    def _holder(self, interface: str) -> str:
        for found in self._records.all() if self._records is not None else ():
            held = found.find(HostDevice)
            if held is not None and held.device == interface and found is not self._standing:
                return f": it is in the jail of {found.profile}"
        return ""

    def leased(self, profile: str) -> HostDns:
        """What the lease says."""
        standing = () if self._standing is None else self._standing.resources
        client = next((r for r in standing if isinstance(r, DhcpClient) and r.uplink), None)
        held = None if client is None else dhcp.lease(profile, client.jail_if)
        if held is None:
            return HostDns((), (), (), dhcp.origin(None))
        return HostDns(held.servers, (), held.search, dhcp.origin(held))

    def require_netns(self, name: str) -> None:
        """Looks into it, and leaves it as it is."""
        path = ns.path_of(name)
        found = ns.identity(path)
        if found is None:
            raise NetjailError(
                "conflict",
                f"there is no network namespace {name}",
                f"`ip netns list` lists them; whoever makes it comes first (ip netns add {name})",
            )
        here = os.stat("/proc/thread-self/ns/net")
        if found == (here.st_dev, here.st_ino):
            raise NetjailError(
                "conflict",
                f"the network namespace {name} is the host's own: a jail in it would be none",
                "take another one, or run the program without netjail",
            )
        try:
            with ns.inside_named(name):
                pass
        except OSError as error:
            raise NetjailError(
                "conflict", f"{path} is not a network namespace ({error.strerror})"
            ) from error

    def netns_dns(self, name: str) -> HostDns:
        """As ip-netns(8) would show it; never the host's own resolvers."""
        path = f"{names.NETNS_ETC_DIR}/{name}/resolv.conf"
        found = hostdns.read(path, os.devnull)
        # on loopback it is the namespace's own, which may well have one
        return HostDns((*found.servers, *found.stubs), (), found.search, path)


def _has(held: HostDevice) -> bool:
    try:
        with ns.inside_named(held.netns):
            return index_of(held.device) is not None
    except NetjailError:
        return False


def _must_be_free(link: Message, interface: str) -> None:
    if link.get_attr("IFLA_MASTER"):
        raise NetjailError(
            "conflict",
            f"{interface} is a port of a bridge or a bond, and cannot be moved out of it",
            f"take it out first (sudo ip link set {interface} nomaster)",
        )
    if link.get_attr("IFLA_GROUP") == names.LINK_GROUP:
        raise NetjailError("conflict", f"{interface} is one of netjail's own interfaces")


def _must_be_up(link: Message, interface: str) -> None:
    if not link["flags"] & _IFF_UP:
        raise NetjailError(
            "conflict",
            f"the host's interface {interface} is down",
            f"sudo ip link set {interface} up",
        )


def _phy(interface: str) -> str | None:
    """The radio of a Wi-Fi interface, as iw(8) calls it."""
    try:
        with open(f"{_SYS}/{interface}/phy80211/name", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None
