# SPDX-License-Identifier: GPL-3.0-or-later
"""The veth pair between host and jail, and the DNS relay at its host end."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import sys

from netjail import names
from netjail.engine import files, ns, process, sysctl
from netjail.engine.context import Context
from netjail.engine.netlink import (
    NetlinkError,
    Socket,
    del_link,
    index_of,
    is_foreign,
    new_address,
    new_veth,
    route,
    set_link,
)
from netjail.errors import NetjailError
from netjail.uplinks.wanted import DnsRelay, VethPair

RELAY = "dnsmasq"
_LISTEN = "0A"
_QUIET = (
    ("net/ipv6/conf/{}/accept_ra", "0"),  # root in a jail must not add routes to the host
    ("net/ipv6/conf/{}/accept_redirects", "0"),
    ("net/ipv4/conf/{}/accept_redirects", "0"),
    ("net/ipv4/conf/{}/arp_ignore", "1"),  # answer for the gateway's address alone
    # No link-local address, which nobody needs: its route stands beside those of all the other
    # host ends, and to add one the kernel walks them all (1 ms where there are a thousand).
    ("net/ipv6/conf/{}/addr_gen_mode", "1"),
)


def apply(wanted: VethPair, _context: Context) -> None:
    """Make the pair, both ends with addresses and up, and the jail's default routes."""
    remove(wanted.host_if)
    target = ns.open_named(wanted.netns)
    try:
        with Socket() as netlink:
            pair = new_veth(wanted.host_if, wanted.jail_if, target, wanted.mtu, names.LINK_GROUP)
            netlink.send(pair)
            for key, value in _QUIET:
                _write(key.format(wanted.host_if), value)
            index = index_of(wanted.host_if) or 0
            # Up before it has addresses: the kernel then makes their routes where it may wait for
            # memory. As a link comes up it may not, and drops an IPv6 address without a word.
            netlink.send(
                set_link(index, up=True),
                *(new_address(index, address) for address in wanted.host_addresses),
            )
        with ns.inside(target), Socket() as netlink:
            index = index_of(wanted.jail_if) or 0
            netlink.send(
                set_link(index, up=True),
                *(new_address(index, address) for address in wanted.jail_addresses),
                *(
                    route("::/0" if ":" in g else "0.0.0.0/0", gateway=g, oif=index)
                    for g in wanted.gateways
                ),
            )
    finally:
        os.close(target)


def _write(key: str, value: str) -> None:
    try:
        fd = sysctl.open_on_host(key, os.O_WRONLY)
    except FileNotFoundError:  # no IPv6 in this kernel
        return
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def present(wanted: VethPair, _context: Context) -> bool:
    """Whether the host end stands and the jail end is in its namespace."""
    try:
        with ns.inside_named(wanted.netns):
            inner = index_of(wanted.jail_if) is not None
    except NetjailError:
        return False
    return inner and index_of(wanted.host_if) is not None


def undo(wanted: VethPair, context: Context) -> None:
    """Remove the pair. Idempotent."""
    discard(wanted.host_if, context.whole)


def discard(host_if: str, whole: bool) -> None:
    """Remove a pair by its host end. When the `whole` jail goes the kernel does it, so the host end
    is only shut: deleting waits for RCU, 20 to 40 ms."""
    if whole:
        _shut(host_if)
    elif not is_foreign(host_if):
        remove(host_if)


def _shut(name: str) -> None:
    with Socket() as netlink:
        found = netlink.index_and_group(name)
        if found is None or found[1] != names.LINK_GROUP:
            return
        try:
            netlink.send(set_link(found[0], up=False))
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise


def remove(name: str) -> None:
    """Delete a host end of ours. Raises NetjailError("conflict") for somebody else's interface."""
    with Socket() as netlink:
        found = netlink.index_and_group(name)
        if found is None:
            return
        if found[1] != names.LINK_GROUP:
            raise NetjailError(
                "conflict",
                f"the host has an interface {name} that netjail did not make",
                f"rename or delete it (`sudo ip link delete {name}`), or rename the profile",
            )
        try:
            netlink.send(del_link(found[0]))
        except NetlinkError as error:
            if error.errno != errno.ENODEV:  # the kernel was clearing it up itself
                raise


def _relay_files(wanted: DnsRelay) -> str:
    return f"{names.jail_dir(wanted.profile)}/dnsmasq.conf"


def _relay_argv(wanted: DnsRelay) -> list[str]:
    return [RELAY, "--keep-in-foreground", f"--conf-file={_relay_files(wanted)}"]


def apply_relay(wanted: DnsRelay, context: Context) -> None:
    """Start dnsmasq at the host end. Raises NetjailError."""
    undo_relay(wanted, context)
    files.write(_relay_files(wanted), relay_conf(wanted, _relay_user()), 0o600)
    log = context.log(RELAY)
    started = process.start(RELAY, _relay_argv(wanted), log)
    context.remember(started)
    try:
        process.wait_for("listening", lambda: _listens(wanted.listen[0]), 5, started, log)
    except NetjailError as error:
        if "in use" not in error.message:
            raise
        raise NetjailError(
            "conflict",
            "a name server of this host holds port 53 of every address, where the relay for this "
            "profile's DNS has to listen",
            "netjail doctor says how to change that; or give the profile servers: [dns] mode = "
            '"static"',
        ) from None
    context.host.relay(wanted, True)


def relay_conf(wanted: DnsRelay, user: str) -> str:
    """dnsmasq.conf(5): a relay and nothing else. It reads no file of the host's."""
    return "\n".join(
        [
            "no-resolv",
            "no-poll",
            "no-hosts",
            "bind-interfaces",
            "except-interface=lo",
            *(f"listen-address={address}" for address in wanted.listen),
            *(f"server={address}" for address in wanted.upstreams),
            "port=53",
            "cache-size=150",
            f"user={user}",
            "pid-file=",
            "log-facility=-",
            "",
        ]
    )


def _relay_user() -> str:
    """The user that Debian's package makes, else nobody."""
    try:
        return pwd.getpwnam("dnsmasq").pw_name
    except KeyError:
        return "nobody"


def _listens(address: str) -> bool:
    """Whether somebody listens for TCP on the address's port 53, which dnsmasq does last.

    Looked up, not tried: a bind of ours could be what keeps dnsmasq from its port.
    """
    family, table = (socket.AF_INET6, "tcp6") if ":" in address else (socket.AF_INET, "tcp")
    packed = socket.inet_pton(family, address)
    words = [packed[i : i + 4] for i in range(0, len(packed), 4)]
    wanted = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + ":0035"
    with open(f"/proc/thread-self/net/{table}", encoding="ascii") as file:
        rows = (line.split() for line in file)
        return any(row[1] == wanted and row[3] == _LISTEN for row in rows)


def relay_present(_wanted: DnsRelay, context: Context) -> bool:
    """Whether the relay runs."""
    running = context.record.process(RELAY)
    return running is not None and running.alive()


def undo_relay(wanted: DnsRelay, context: Context) -> None:
    """Stop the relay. Idempotent."""
    user = pwd.getpwnam(_relay_user()).pw_uid
    running = context.record.process(RELAY) or process.find(_relay_argv(wanted), RELAY, user)
    if running is not None:
        process.stop(running)
        context.forget(RELAY)
    context.host.relay(wanted, False)
