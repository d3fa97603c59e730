# SPDX-License-Identifier: GPL-3.0-or-later
"""rtnetlink over one plain socket: messages packed here, answers read by pyroute2's classes.

pyroute2's own IPRoute forks to open a socket in a namespace and costs 19 ms for a veth profile
where the messages alone take 2; and its classes take ten times as long to pack one of our few
messages as struct does. So they only read what is worth reading as a whole. A socket belongs to
the namespace in which it was opened, for good.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from netjail import names

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_EXCL, NLM_F_CREATE, NLM_F_REPLACE = 0x200, 0x400, 0x100
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_GETNEIGH = 30
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
IFF_UP = 1
IFA_F_NODAD = 0x02
RT_TABLE_MAIN = 254
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFADDR = struct.Struct("=BBBBI")  # family, prefixlen, flags, scope, index
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, dst, src, tos, table, proto, scope, type, flags
_FIBRULE = struct.Struct("=BBBBBxxBI")  # family, dst, src, tos, table, action, flags
_U32 = struct.Struct("=I")
# linux/if_link.h, if_addr.h, rtnetlink.h, fib_rules.h, veth.h
_IFLA = {
    "address": 1,
    "ifname": 3,
    "mtu": 4,
    "link": 5,
    "master": 10,
    "linkinfo": 18,
    "group": 27,
    "net_ns_fd": 28,
    "ext_mask": 29,
}
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO = 1, 2, 6
_CACHEINFO = struct.Struct("=IIII")  # preferred and valid for so many seconds, two time stamps
_RTNH_F_ONLINK = 4
_RTPROT_STATIC = 4
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
_FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE = 3, 6, 15
_RTEXT_FILTER_SKIP_STATS = 8
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 12
_UNICAST = 1
_CREATE = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL
_CHANGE = NLM_F_REQUEST
_REPLACE = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE
_BUFFER = 1 << 18
_DUMP_SIZE = {
    RTM_GETLINK: _IFINFO.size,
    RTM_GETADDR: _IFADDR.size,
    RTM_GETROUTE: _RTMSG.size,
    RTM_GETRULE: _FIBRULE.size,
    RTM_GETNEIGH: 12,
}
"""Bytes of the head of a request, by type."""
_RTM_F_FIB_MATCH = 0x2000

Message = Any
"""A pyroute2 message object, decoded: what the kernel has answered."""


class Request:
    """A message to the kernel, packed but for its sequence number."""

    __slots__ = ("body", "how", "kind")

    def __init__(self, kind: int, how: int, body: bytes) -> None:
        self.kind = kind
        self.how = how
        self.body = body


class NetlinkError(OSError):
    """The kernel's answer to one message of a batch; `index` is its place there."""

    def __init__(self, number: int, index: int = 0) -> None:
        super().__init__(number, os.strerror(number))
        self.index = index


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _nla(kind: int, value: int | str | bytes) -> bytes:
    """One attribute: a number of 32 bits, a C string, or bytes as they are."""
    if isinstance(value, int):
        value = _U32.pack(value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _links(index: int = 0, flags: int = 0, change: int = 0, **attrs: int | str | bytes) -> bytes:
    packed = [_nla(_IFLA[key], value) for key, value in attrs.items()]
    return _IFINFO.pack(0, 0, index, flags, change) + b"".join(packed)


def _packed(address: str) -> bytes:
    return socket.inet_pton(_family(address), address)


def new_veth(
    host_if: str, jail_if: str, jail_ns: int, mtu: int, group: int, *, mac: str | None = None
) -> Request:
    """A veth pair whose other end is born in the namespace open as `jail_ns`, with `mac`.

    The host end then has a high one: a bridge takes the lowest of its ports' for its own.
    """
    more: dict[str, Any] = {} if mac is None else {"address": _mac(mac)}
    here: dict[str, Any] = {} if mac is None else {"address": b"\xfe" + _mac(mac)[1:]}
    peer = _links(ifname=jail_if, mtu=mtu, net_ns_fd=jail_ns, **more)
    data = _nla(_IFLA_INFO_DATA, _nla(_VETH_INFO_PEER, peer))
    info = _nla(_IFLA_INFO_KIND, "veth") + data
    body = _links(ifname=host_if, mtu=mtu, group=group, linkinfo=info, **here)
    return Request(RTM_NEWLINK, _CREATE, body)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


_CHILD_MODES = {
    "macvlan": {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8},
    "ipvlan": {"l2": 0, "l3": 1},
}


def new_child(
    kind: str,
    jail_if: str,
    jail_ns: int,
    *,
    parent: int,
    mode: str,
    mtu: int,
    group: int,
    mac: str | None,
) -> Request:
    """A macvlan or ipvlan on the link `parent` of this namespace, born in the one open as
    `jail_ns`. EOPNOTSUPP where the kernel has no such kind."""
    number = _CHILD_MODES[kind][mode]
    # IFLA_MACVLAN_MODE has 32 bits, IFLA_IPVLAN_MODE 16
    value = _U32.pack(number) if kind == "macvlan" else struct.pack("=H", number)
    info = _nla(_IFLA_INFO_KIND, kind) + _nla(_IFLA_INFO_DATA, _nla(1, value))
    more: dict[str, Any] = {} if mac is None else {"address": _mac(mac)}
    body = _links(
        ifname=jail_if, mtu=mtu, group=group, link=parent, net_ns_fd=jail_ns, linkinfo=info, **more
    )
    return Request(RTM_NEWLINK, _CREATE, body)


def new_wireguard(name: str, mtu: int, group: int, kind: str = "wireguard") -> Request:
    """A WireGuard interface, down. EOPNOTSUPP where the kernel has no WireGuard."""
    info = _nla(_IFLA_INFO_KIND, kind)
    return Request(RTM_NEWLINK, _CREATE, _links(ifname=name, mtu=mtu, group=group, linkinfo=info))


def set_link(index: int, *, up: bool | None = None, **attrs: int | str) -> Request:
    """Change a link. Keywords: ifname, mtu, group, master, net_ns_fd."""
    flags, change = (0, 0) if up is None else (IFF_UP if up else 0, IFF_UP)
    return Request(RTM_SETLINK, _CHANGE, _links(index, flags, change, **attrs))


def del_link(index: int) -> Request:
    """Delete a link."""
    return Request(RTM_DELLINK, _CHANGE, _links(index))


def new_address(
    index: int, interface: str, *, left: int | None = None, detect: bool = False
) -> Request:
    """Add an address given with its prefix length, for `left` seconds (None: for ever); IPv6
    without duplicate address detection unless `detect`."""
    address, _, length = interface.partition("/")
    family, packed = _family(address), _packed(address)
    body = _nla(_IFA_ADDRESS, packed)
    flags = 0 if detect else IFA_F_NODAD
    if family == socket.AF_INET:
        body, flags = _nla(_IFA_LOCAL, packed) + body, 0
    if left is not None:
        body += _nla(_IFA_CACHEINFO, _CACHEINFO.pack(left, left, 0, 0))
    return Request(RTM_NEWADDR, _REPLACE, _IFADDR.pack(family, int(length), flags, 0, index) + body)


def del_address(index: int, interface: str) -> Request:
    """Remove an address given with its prefix length."""
    address, _, length = interface.partition("/")
    family = _family(address)
    body = _nla(_IFA_LOCAL, _packed(address))
    return Request(RTM_DELADDR, _CHANGE, _IFADDR.pack(family, int(length), 0, 0, index) + body)


def route(
    destination: str,
    *,
    oif: int | None = None,
    gateway: str | None = None,
    table: int = RT_TABLE_MAIN,
    kind: int = 1,
    metric: int | None = None,
    onlink: bool = False,
    proto: int = _RTPROT_STATIC,
    delete: bool = False,
) -> Request:
    """A route to a network ("0.0.0.0/0" for the default). `kind` 1 unicast, 7 unreachable;
    `onlink`: the gateway is on the link, whatever the addresses say."""
    address, _, length = destination.partition("/")
    attrs = _nla(_RTA_TABLE, table)
    if int(length):
        attrs += _nla(_RTA_DST, _packed(address))
    if gateway is not None:
        attrs += _nla(_RTA_GATEWAY, _packed(gateway))
    if oif is not None:
        attrs += _nla(_RTA_OIF, oif)
    if metric is not None:
        attrs += _nla(_RTA_PRIORITY, metric)
    link_scope = gateway is None and kind == 1 and ":" not in address
    head = _RTMSG.pack(
        _family(address),
        int(length),
        0,
        0,
        table if table < 256 else 0,
        proto,
        253 if link_scope else 0,
        kind,
        _RTNH_F_ONLINK if onlink else 0,
    )
    return Request(
        RTM_DELROUTE if delete else RTM_NEWROUTE,
        _CHANGE if delete else _REPLACE,
        head + attrs,
    )


def rule(iif: str, table: int, priority: int, family: int, *, delete: bool = False) -> Request:
    """`ip rule`: what comes in by `iif` is looked up in `table`."""
    head = _FIBRULE.pack(family, 0, 0, 0, table if table < 256 else 0, 1, 0)
    attrs = _nla(_FRA_IIFNAME, iif) + _nla(_FRA_TABLE, table) + _nla(_FRA_PRIORITY, priority)
    return Request(
        RTM_DELRULE if delete else RTM_NEWRULE, _CHANGE if delete else _CREATE, head + attrs
    )


def index_of(name: str) -> int | None:
    """Interface index by name in the calling thread's namespace, or None."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def is_foreign(name: str) -> bool:
    """Whether there is an interface of that name which does not bear our mark."""
    with Socket() as netlink:
        found = netlink.index_and_group(name)
        return found is not None and found[1] != names.LINK_GROUP


class Socket:
    """An rtnetlink socket of the namespace that the opening thread is in. Not for two threads."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.settimeout(10)
        self._sequence = 0

    def close(self) -> None:
        """Let go of the namespace."""
        self._socket.close()

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pack(self, request: Request, more: int = 0) -> bytes:
        self._sequence += 1
        body = request.body
        size = _HEADER.size + len(body)
        return _HEADER.pack(size, request.kind, request.how | more, self._sequence, 0) + body

    def send(self, *requests: Request) -> None:
        """Send all in one go. Raises NetlinkError for the first that failed; the rest is done."""
        if not requests:
            return
        first = self._sequence + 1
        # The kernel answers in order, and always where something failed: it is enough that it
        # acknowledges the last.
        data = [self._pack(request) for request in requests[:-1]]
        data.append(self._pack(requests[-1], NLM_F_ACK))
        self._socket.send(b"".join(data))
        failed: NetlinkError | None = None
        last = 0
        while last != self._sequence:
            for kind, sequence, body in _split(self._socket.recv(_BUFFER)):
                if kind != NLMSG_ERROR or sequence < first:
                    continue
                last = sequence
                number = -int.from_bytes(body[:4], "little", signed=True)
                if number and failed is None:
                    failed = NetlinkError(number, sequence - first)
        if failed is not None:
            raise failed

    def link(self, name: str) -> Message | None:
        """One link by name, decoded, or None."""
        raw = self._get(Request(RTM_GETLINK, NLM_F_REQUEST, _links(ifname=name)))
        return None if raw is None else _decode(ifinfmsg, raw)

    def link_by_index(self, index: int) -> Message | None:
        """One link by index, decoded, or None."""
        raw = self._get(Request(RTM_GETLINK, NLM_F_REQUEST, _links(index)))
        return None if raw is None else _decode(ifinfmsg, raw)

    def index_and_group(self, name: str) -> tuple[int, int] | None:
        """Of a link by name, or None where there is no such link; without decoding it."""
        asked = _links(ifname=name, ext_mask=_RTEXT_FILTER_SKIP_STATS)
        raw = self._get(Request(RTM_GETLINK, NLM_F_REQUEST, asked))
        if raw is None:
            return None
        group = attribute(raw, 32, _IFLA["group"])
        return int(_U32.unpack_from(raw, 20)[0]), 0 if group is None else _U32.unpack(group)[0]

    def mtu(self, index: int) -> int | None:
        """MTU of a link by index, or None where there is no such link; without decoding it."""
        asked = _links(index, ext_mask=_RTEXT_FILTER_SKIP_STATS)
        raw = self._get(Request(RTM_GETLINK, NLM_F_REQUEST, asked))
        mtu = None if raw is None else attribute(raw, 32, _IFLA["mtu"])
        return None if mtu is None else _U32.unpack(mtu)[0]

    def route_to(self, address: str) -> Message | None:
        """The route the kernel would take to an address, or None where there is none."""
        raw = self._route_to(address, 0)
        return None if raw is None else _decode(rtmsg, raw)

    def way_to(self, address: str) -> int | None:
        """Index of the link by which the kernel would send to an address, or None."""
        # The table's entry, not the route made from it: for IPv6 that has a source address chosen
        # among those of all links. Only an entry with several ways needs one of them chosen.
        for flags in (_RTM_F_FIB_MATCH, 0):
            raw = self._route_to(address, flags)
            oif = None if raw is None else attribute(raw, 28, _RTA_OIF)
            if oif is not None:
                return int(_U32.unpack(oif)[0])
        return None

    def prefix_to(self, address: str) -> int | None:
        """Prefix length of the entry in the routing table that covers an address, or None."""
        raw = self._route_to(address, _RTM_F_FIB_MATCH)
        return None if raw is None else raw[17]

    def _route_to(self, address: str, flags: int) -> bytes | None:
        packed = _packed(address)
        head = _RTMSG.pack(_family(address), len(packed) * 8, 0, 0, 0, 0, 0, 0, flags)
        return self._get(Request(RTM_GETROUTE, NLM_F_REQUEST, head + _nla(_RTA_DST, packed)))

    def links(self) -> list[Message]:
        """All links."""
        return self._dump(ifinfmsg, RTM_GETLINK)

    def addresses(self) -> list[Message]:
        """All addresses, both families."""
        return self._dump(ifaddrmsg, RTM_GETADDR)

    def routes(self, family: int, accept: Callable[[bytes], bool] | None = None) -> list[Message]:
        """All routes of all tables of a family; `accept` sees the raw message and spares decoding
        where there are thousands."""
        return self._dump(rtmsg, RTM_GETROUTE, accept, family=family)

    def unicast_routes(self, family: int, accept: Callable[[bytes], bool]) -> list[Message]:
        """As `routes`, without the local and multicast ones, of which every address brings three;
        left out by the kernel, if it can (Linux 4.20)."""
        try:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        except OSError:
            return self.routes(family, accept)
        try:
            return self._dump(rtmsg, RTM_GETROUTE, accept, family=family, route_type=_UNICAST)
        finally:
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 0)

    def rules(self, family: int) -> list[Message]:
        """The rules by which a routing table is chosen (ip-rule(8))."""
        return self._dump(fibmsg, RTM_GETRULE, family=family)

    def neighbours(self) -> list[Message]:
        """The ARP and NDP tables."""
        return self._dump(ndmsg, RTM_GETNEIGH)

    def _get(self, request: Request) -> bytes | None:
        """One question with one answer; a refusal (no such link, unreachable) is None."""
        self._socket.send(self._pack(request))
        while True:
            for kind, sequence, _, whole in _split_whole(self._socket.recv(_BUFFER)):
                if sequence != self._sequence:
                    continue
                return None if kind == NLMSG_ERROR else whole

    def _dump(
        self,
        cls: Any,
        kind: int,
        accept: Callable[[bytes], bool] | None = None,
        family: int = 0,
        route_type: int = 0,
    ) -> list[Message]:
        head = bytearray(_DUMP_SIZE[kind])
        head[0] = family
        if route_type:
            head[7] = route_type
        request = Request(kind, NLM_F_REQUEST | NLM_F_DUMP, bytes(head))
        self._socket.send(self._pack(request))
        found: list[Message] = []
        while True:
            for answer, sequence, body, whole in _split_whole(self._socket.recv(_BUFFER)):
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_DONE:
                    return found
                if answer == NLMSG_ERROR:
                    number = -int.from_bytes(body[:4], "little", signed=True)
                    if number in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
                        return found
                    raise NetlinkError(number)
                if accept is None or accept(whole):
                    found.append(_decode(cls, whole))


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    for kind, sequence, body, _ in _split_whole(data):
        yield kind, sequence, body


def _split_whole(data: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        whole = data[offset : offset + length]
        yield kind, sequence, whole[_HEADER.size :], whole
        offset += (length + 3) & ~3


def attribute(data: bytes, offset: int, kind: int) -> bytes | None:
    """Value of the first attribute of a kind in a raw message; attributes begin at `offset`."""
    while offset + 4 <= len(data):
        length, found = _ATTRIBUTE.unpack_from(data, offset)
        if found & 0x3FFF == kind:
            return data[offset + 4 : offset + length]
        offset += max(4, (length + 3) & ~3)
    return None


def _decode(cls: Any, data: bytes) -> Message:
    message = cls(data)
    message.decode()
    return message
