# SPDX-License-Identifier: GPL-3.0-or-later
"""WireGuard interfaces: by the kernel, by wireguard-go where it has none; asked through wg(8).
AmneziaWG is the same by other names: see TOOLS."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from netjail import names
from netjail.engine import files, ns, process
from netjail.engine.context import Context
from netjail.engine.netlink import (
    Message,
    NetlinkError,
    Socket,
    del_link,
    index_of,
    new_address,
    new_wireguard,
    route,
    set_link,
)
from netjail.engine.process import Process
from netjail.engine.record import Record
from netjail.errors import NetjailError
from netjail.uplinks.wanted import WireGuardDevice


@dataclass(frozen=True, slots=True)
class Tools:
    """How a protocol is had. `kind`: of the kernel's interfaces; `tool`: what wg(8) is;
    `userspace`: what serves an interface where the kernel cannot; `sockets`: where that puts its
    control sockets, named after the interface at birth."""

    title: str
    kind: str
    tool: str
    userspace: str
    sockets: str


TOOLS = {
    "wireguard": Tools("WireGuard", "wireguard", "wg", "wireguard-go", "/var/run/wireguard"),
    "amneziawg": Tools("AmneziaWG", "amneziawg", "awg", "amneziawg-go", "/var/run/amneziawg"),
}


def userspace(record: Record, device: WireGuardDevice) -> Process | None:
    """The program that serves an interface; None where the kernel does."""
    return record.process(TOOLS[device.protocol].userspace)


def kernel_has(kind: str) -> bool:
    """Whether this kernel makes interfaces of a kind. Leaves one called nj-probe behind: to be
    called in a namespace that goes."""
    with Socket() as netlink:
        try:
            netlink.send(new_wireguard("nj-probe", 1420, names.LINK_GROUP, kind))
        except NetlinkError as error:
            if error.errno == errno.EOPNOTSUPP:
                return False
            raise
    return True


def installed(program: str) -> bool:
    """Whether the helper finds a program."""
    return shutil.which(program, path=process.PATH) is not None


def lack(protocol: str) -> NetjailError | None:
    """What is missing for a protocol, in words; None where all is there."""
    tools = TOOLS[protocol]
    missing = [] if installed(tools.tool) else [f"the program {tools.tool}"]
    if not installed(tools.userspace) and not ns.in_scratch(lambda: kernel_has(tools.kind)):
        missing.append(f"{tools.userspace} or a kernel module")
    if not missing:
        return None
    return NetjailError(
        "missing-program",
        f"{tools.title} is not installed: {' and '.join(missing)} is missing",
        process.hint(tools.tool),
    )


@dataclass(frozen=True, slots=True)
class PeerState:
    """One line of `wg show DEV dump`. `latest_handshake`: seconds since the epoch, None: never."""

    public_key: str
    endpoint: str | None
    allowed_ips: tuple[str, ...]
    latest_handshake: int | None
    received: int
    sent: int
    persistent_keepalive: int | None


def apply(wanted: WireGuardDevice, context: Context) -> None:
    """Make, configure and move the interface. Raises NetjailError, NetlinkError."""
    if wanted.config is None:
        raise NetjailError("internal", "a WireGuard device cannot be made from a record alone")
    undo(wanted, context)
    target = ns.open_named(wanted.netns)
    try:
        with ns.inside_named(wanted.birth), Socket() as netlink:
            _create(wanted, netlink, context)
            tool = TOOLS[wanted.protocol].tool
            process.run([tool, "setconf", wanted.born_as, "/dev/stdin"], stdin=wanted.config)
            index = index_of(wanted.born_as)
            if index is None:
                raise NetjailError("system", f"{wanted.born_as} vanished while it was set up")
            netlink.send(set_link(index, net_ns_fd=target, ifname=wanted.jail_if))
        with ns.inside(target), Socket() as netlink:
            index = index_of(wanted.jail_if) or 0
            netlink.send(
                set_link(index, mtu=wanted.mtu, group=names.LINK_GROUP),
                set_link(index, up=True),  # before it has addresses: see veth
                *(new_address(index, address) for address in wanted.addresses),
            )
            netlink.send(*(route(net, oif=index) for net in wanted.routes))
    except NetlinkError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EOPNOTSUPP) and _no_ipv6(wanted):
            raise NetjailError(
                "missing-kernel",
                f"IPv6 is switched off in this kernel, and {wanted.profile} has IPv6 addresses",
                "remove the IPv6 addresses and networks from the profile, or switch IPv6 on",
            ) from error
        raise
    finally:
        os.close(target)


def _no_ipv6(wanted: WireGuardDevice) -> bool:
    return any(":" in a for a in wanted.addresses) and not os.path.isdir("/proc/sys/net/ipv6")


def _create(wanted: WireGuardDevice, netlink: Socket, context: Context) -> None:
    tools = TOOLS[wanted.protocol]
    try:
        netlink.send(new_wireguard(wanted.born_as, wanted.mtu, names.LINK_GROUP, tools.kind))
        return
    except NetlinkError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    if wanted.protocol != "wireguard" and not installed(tools.userspace):
        raise NetjailError(
            "missing-program",
            f"{tools.title} is not installed: neither {tools.userspace} nor a kernel module is "
            "there",
            process.hint(tools.userspace),
        )
    if wanted.protocol == "amneziawg" and "<c>" in (wanted.config or ""):
        raise NetjailError(
            "missing-kernel",
            "the profile's i1 to i5 have <c>, which AmneziaWG's kernel module knows and "
            "amneziawg-go does not",
            "install the kernel module, or leave <c> out: only this side sends it",
        )
    log = context.log(tools.userspace)
    control = f"{tools.sockets}/{wanted.born_as}.sock"
    files.remove(control)  # one that died may have left it
    context.progress(f"starting {tools.userspace}, as this kernel has no {tools.title}")
    started = process.start(
        tools.userspace, _argv(wanted), log, {"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"}
    )
    context.remember(started)
    process.wait_for(
        "making the interface",
        lambda: index_of(wanted.born_as) is not None and _listens(control),
        10,
        started,
        log,
    )


def _listens(control: str) -> bool:
    """Whether somebody answers at a control socket. wg(8) deletes one that is there and refuses, as
    it does for a moment while it is being made."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(control)
        except OSError:
            return False
        return True


def _argv(wanted: WireGuardDevice) -> list[str]:
    return [TOOLS[wanted.protocol].userspace, "--foreground", wanted.born_as]


def present(wanted: WireGuardDevice, context: Context) -> bool:
    """Whether the interface is where it belongs and served."""
    server = userspace(context.record, wanted)
    if server is not None and not server.alive():
        return False
    try:
        with ns.inside_named(wanted.netns):
            return index_of(wanted.jail_if) is not None
    except NetjailError:
        return False


def undo(wanted: WireGuardDevice, context: Context) -> None:
    """Remove the interface wherever it got to, and the process that serves it. Idempotent."""
    tools = TOOLS[wanted.protocol]
    server = userspace(context.record, wanted) or process.find(_argv(wanted), tools.userspace)
    if server is not None:
        process.stop(server)
        context.forget(tools.userspace)
        try:
            os.unlink(f"{tools.sockets}/{wanted.born_as}.sock")
        except FileNotFoundError:
            pass
    _delete(wanted.birth, wanted.born_as)
    # when the whole jail goes the kernel deletes it: for the sake of what may hold the namespace
    # it is shut at least
    (_shut if context.whole else _delete)(wanted.netns, wanted.jail_if)


def _delete(netns: str | None, name: str) -> None:
    """Delete an interface that bears our mark."""
    _send(netns, name, del_link)


def _shut(netns: str | None, name: str) -> None:
    _send(netns, name, lambda index: set_link(index, up=False))


def _send(netns: str | None, name: str, message: Callable[[int], Message]) -> None:
    """Send a message about an interface that bears our mark."""
    try:
        with ns.inside_named(netns):
            if index_of(name) is None:
                return
            with Socket() as netlink:
                link = netlink.link(name)
                if link is None or link.get_attr("IFLA_GROUP") != names.LINK_GROUP:
                    return
                netlink.send(message(int(link["index"])))
    except NetjailError:  # the namespace is gone, and the interface with it
        return
    except NetlinkError as error:
        if error.errno != errno.ENODEV:
            raise


def show(wanted: WireGuardDevice, userspace: bool) -> list[PeerState]:
    """The peers as they stand. Raises NetjailError where the interface is gone."""
    tool = TOOLS[wanted.protocol].tool
    if userspace:
        text = process.run([tool, "show", wanted.born_as, "dump"], timeout=5)
    else:
        with ns.inside_named(wanted.netns):
            text = process.run([tool, "show", wanted.jail_if, "dump"], timeout=5)
    return parse_dump(text)


def parse_dump(text: str) -> list[PeerState]:
    """`wg show DEV dump` without its secrets: the first line and the preshared keys are dropped."""
    peers = []
    for line in text.splitlines()[1:]:
        fields = line.split("\t")
        if len(fields) != 8:
            continue
        key, _, endpoint, allowed, handshake, received, sent, keepalive = fields
        peers.append(
            PeerState(
                public_key=key,
                endpoint=None if endpoint == "(none)" else endpoint,
                allowed_ips=() if allowed == "(none)" else tuple(allowed.split(",")),
                latest_handshake=int(handshake) or None,
                received=int(received),
                sent=int(sent),
                persistent_keepalive=None if keepalive == "off" else int(keepalive),
            )
        )
    return peers


def probe(wanted: WireGuardDevice) -> None:
    """Send one empty datagram into the tunnel: WireGuard greets its peer when it has to send."""
    if wanted.probe is None:
        return
    family = socket.AF_INET6 if ":" in wanted.probe else socket.AF_INET
    try:
        with (
            ns.inside_named(wanted.netns),
            socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.sendto(b"", socket.MSG_DONTWAIT, (wanted.probe, 9))
    except (OSError, NetjailError):
        pass


def wait_handshake(
    wanted: WireGuardDevice, userspace: Process | None, since: float, seconds: float
) -> bool:
    """Whether a peer answers within `seconds`: a handshake not older than `since` (epoch)."""
    end = time.monotonic() + seconds
    pause, next_probe = 0.02, 0.0
    while True:
        if time.monotonic() >= next_probe:
            probe(wanted)
            next_probe = time.monotonic() + 0.5
        if userspace is not None and not userspace.alive():
            return False
        newest = max((p.latest_handshake or 0 for p in show(wanted, bool(userspace))), default=0)
        if newest and newest >= int(since) - 180:
            return True
        if time.monotonic() + pause > end:
            return False
        time.sleep(pause)
        pause = min(pause * 1.3, 0.2)
