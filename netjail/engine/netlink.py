# SPDX-License-Identifier: GPL-3.0-or-later
"""rtnetlink over one plain socket: messages by pyroute2's classes, sent in batches.

pyroute2's own IPRoute forks to open a socket in a namespace and costs 19 ms for a veth profile
where the messages alone take 2; so its message classes do the encoding and decoding, and the
socket is ours. A socket belongs to the namespace in which it was opened, for good.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_EXCL, NLM_F_CREATE, NLM_F_REPLACE = 0x200, 0x400, 0x100
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_GETNEIGH = 30
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
IFF_UP = 1
IFA_F_NODAD = 0x02
RT_TABLE_MAIN = 254
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_SOL_NETLINK, _NETLINK_CAP_ACK = 270, 10
_CREATE = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
_CHANGE = NLM_F_REQUEST | NLM_F_ACK
_REPLACE = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE
_BUFFER = 1 << 18
_RTM_F_FIB_MATCH = 0x2000

Message = Any
"""A pyroute2 message object, not yet encoded."""


class NetlinkError(OSError):
    """The kernel's answer to one message of a batch; `index` is its place there."""

    def __init__(self, number: int, index: int = 0) -> None:
        super().__init__(number, os.strerror(number))
        self.index = index


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _message(cls: Any, kind: int, how: int, attrs: Sequence[Any], **values: Any) -> Message:
    message = cls()
    message["header"]["type"] = kind
    message["header"]["flags"] = how
    for key, value in values.items():
        message[key] = value
    message["attrs"] = list(attrs)
    return message


def new_veth(host_if: str, jail_if: str, jail_ns: int, mtu: int, group: int) -> Message:
    """A veth pair whose other end is born in the namespace open as `jail_ns`."""
    peer = {"attrs": [["IFLA_IFNAME", jail_if], ["IFLA_MTU", mtu], ["IFLA_NET_NS_FD", jail_ns]]}
    info = {
        "attrs": [
            ["IFLA_INFO_KIND", "veth"],
            ["IFLA_INFO_DATA", {"attrs": [["VETH_INFO_PEER", peer]]}],
        ]
    }
    attrs = [
        ["IFLA_IFNAME", host_if],
        ["IFLA_MTU", mtu],
        ["IFLA_GROUP", group],
        ["IFLA_LINKINFO", info],
    ]
    return _message(ifinfmsg, RTM_NEWLINK, _CREATE, attrs)


def new_wireguard(name: str, mtu: int, group: int) -> Message:
    """A WireGuard interface, down. EOPNOTSUPP where the kernel has no WireGuard."""
    info = {"attrs": [["IFLA_INFO_KIND", "wireguard"]]}
    attrs = [
        ["IFLA_IFNAME", name],
        ["IFLA_MTU", mtu],
        ["IFLA_GROUP", group],
        ["IFLA_LINKINFO", info],
    ]
    return _message(ifinfmsg, RTM_NEWLINK, _CREATE, attrs)


def set_link(index: int, *, up: bool | None = None, **attrs: Any) -> Message:
    """Change a link. Keywords: ifname, mtu, group, net_ns_fd."""
    listed = [[f"IFLA_{key.upper()}", value] for key, value in attrs.items()]
    flags = {} if up is None else {"flags": IFF_UP if up else 0, "change": IFF_UP}
    return _message(ifinfmsg, RTM_SETLINK, _CHANGE, listed, index=index, **flags)


def del_link(index: int) -> Message:
    """Delete a link."""
    return _message(ifinfmsg, RTM_DELLINK, _CHANGE, [], index=index)


def new_address(index: int, interface: str) -> Message:
    """Add an address given with its prefix length; IPv6 without duplicate address detection."""
    address, _, length = interface.partition("/")
    family = _family(address)
    attrs = [["IFA_LOCAL", address], ["IFA_ADDRESS", address]]
    flags = 0
    if family == socket.AF_INET6:
        attrs, flags = [["IFA_ADDRESS", address]], IFA_F_NODAD
    return _message(
        ifaddrmsg,
        RTM_NEWADDR,
        _REPLACE,
        attrs,
        index=index,
        family=family,
        prefixlen=int(length),
        flags=flags,
        scope=0,
    )


def route(
    destination: str,
    *,
    oif: int | None = None,
    gateway: str | None = None,
    table: int = RT_TABLE_MAIN,
    kind: int = 1,
    metric: int | None = None,
    delete: bool = False,
) -> Message:
    """A route to a network ("0.0.0.0/0" for the default). `kind` 1 unicast, 7 unreachable."""
    address, _, length = destination.partition("/")
    attrs: list[list[Any]] = [["RTA_TABLE", table]]
    if int(length):
        attrs.append(["RTA_DST", address])
    if gateway is not None:
        attrs.append(["RTA_GATEWAY", gateway])
    if oif is not None:
        attrs.append(["RTA_OIF", oif])
    if metric is not None:
        attrs.append(["RTA_PRIORITY", metric])
    link_scope = gateway is None and kind == 1 and ":" not in address
    return _message(
        rtmsg,
        RTM_DELROUTE if delete else RTM_NEWROUTE,
        _CHANGE if delete else _REPLACE,
        attrs,
        family=_family(address),
        dst_len=int(length),
        table=table if table < 256 else 0,
        proto=4,
        type=kind,
        scope=253 if link_scope else 0,
    )


def rule(iif: str, table: int, priority: int, family: int, *, delete: bool = False) -> Message:
    """`ip rule`: what comes in by `iif` is looked up in `table`."""
    attrs = [["FRA_IIFNAME", iif], ["FRA_TABLE", table], ["FRA_PRIORITY", priority]]
    return _message(
        fibmsg,
        RTM_DELRULE if delete else RTM_NEWRULE,
        _CHANGE if delete else _CREATE,
        attrs,
        family=family,
        action=1,
        table=table if table < 256 else 0,
    )


def index_of(name: str) -> int | None:
    """Interface index by name in the calling thread's namespace, or None."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


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

    def _encode(self, message: Message) -> bytes:
        self._sequence += 1
        message["header"]["sequence_number"] = self._sequence
        message.encode()
        return bytes(message.data)

    def send(self, *messages: Message) -> None:
        """Send all in one go. Raises NetlinkError for the first that failed; the rest is done."""
        if not messages:
            return
        first = self._sequence + 1
        self._socket.send(b"".join([self._encode(message) for message in messages]))
        failed: NetlinkError | None = None
        missing = len(messages)
        while missing:
            for kind, sequence, body in _split(self._socket.recv(_BUFFER)):
                if kind != NLMSG_ERROR or sequence < first:
                    continue
                missing -= 1
                number = -int.from_bytes(body[:4], "little", signed=True)
                if number and failed is None:
                    failed = NetlinkError(number, sequence - first)
        if failed is not None:
            raise failed

    def link(self, name: str) -> Message | None:
        """One link by name, decoded, or None."""
        attrs = [["IFLA_IFNAME", name]]
        found = self._get(_message(ifinfmsg, RTM_GETLINK, NLM_F_REQUEST, attrs), ifinfmsg)
        return found[0] if found else None

    def link_by_index(self, index: int) -> Message | None:
        """One link by index, decoded, or None."""
        request = _message(ifinfmsg, RTM_GETLINK, NLM_F_REQUEST, [], index=index)
        found = self._get(request, ifinfmsg)
        return found[0] if found else None

    def route_to(self, address: str, *, fib_match: bool = False) -> Message | None:
        """The route the kernel would take to an address, or None where there is none.

        With `fib_match` the entry of the routing table itself, its prefix length included.
        """
        family = _family(address)
        attrs = [["RTA_DST", address]]
        length = 128 if family == socket.AF_INET6 else 32
        request = _message(
            rtmsg,
            RTM_GETROUTE,
            NLM_F_REQUEST,
            attrs,
            family=family,
            dst_len=length,
            flags=_RTM_F_FIB_MATCH if fib_match else 0,
        )
        found = self._get(request, rtmsg)
        return found[0] if found else None

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

    def rules(self, family: int) -> list[Message]:
        """The rules by which a routing table is chosen (ip-rule(8))."""
        return self._dump(fibmsg, RTM_GETRULE, family=family)

    def neighbours(self) -> list[Message]:
        """The ARP and NDP tables."""
        return self._dump(ndmsg, RTM_GETNEIGH)

    def _get(self, request: Message, cls: Any) -> list[Message]:
        """One question with one answer; a refusal (no such link, unreachable) is an empty list."""
        self._socket.send(self._encode(request))
        while True:
            for kind, sequence, _, whole in _split_whole(self._socket.recv(_BUFFER)):
                if sequence != self._sequence:
                    continue
                if kind == NLMSG_ERROR:
                    return []
                return [_decode(cls, whole)]

    def _dump(
        self,
        cls: Any,
        kind: int,
        accept: Callable[[bytes], bool] | None = None,
        **values: Any,
    ) -> list[Message]:
        request = _message(cls, kind, NLM_F_REQUEST | NLM_F_DUMP, [], **values)
        self._socket.send(self._encode(request))
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
